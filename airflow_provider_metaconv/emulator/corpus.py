"""The corpus of generated messages: names, texts, content besides text, and the author who picks from them."""

# ruff: noqa: RUF001  (ambiguous letters of other scripts are intended)

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .models import INSTAGRAM, MESSENGER, NOTHING, Message, Thread, message_id

FIRST_NAMES = (
    "Ann", "Bob", "Chiara", "Dmitri", "Élodie", "Fatima", "Gunnar", "Hana", "Ingrid", "João", "Kofi", "Lucía",
    "Мария", "Олексій", "محمد", "ليلى", "יעל", "美咲", "太郎", "小明", "민준", "अनन्या", "สมชาย", "Αλέξανδρος",
    "Zoë", "Nguyễn", "Þóra", "Łukasz", "🌸 Mimi", "O'Brien",
)  # fmt: skip
LAST_NAMES = (
    "Example", "Müller", "García", "Rossi", "Ivanova", "Шевченко", "حسن", "לוי", "佐藤", "王", "김", "शर्मा",
    "Παπαδόπουλος", "da Silva", "van den Berg", "Smith-Jones", "Öztürk", "Dvořák",
)  # fmt: skip
PAGE_NAMES = ("Example Bakery", "Example Bikes", "Пример Кофе", "例の本屋", "Example Travel", "Café Exemple")
USERNAMES = ("ana", "bo.b", "chiara_k", "dmitri99", "elo.die", "_fatima_", "gunnar.x", "hana.draws", "j0ao")

QUESTIONS = (
    "Hello, is the {thing} still available?",
    "Hi! When does order {number} arrive?",
    "What are your opening hours on Sunday?",
    "¿Tienen {thing} en otra talla?",
    "Bonjour, je voudrais retourner ma commande {number}.",
    "Guten Tag, wie hoch sind die Versandkosten?",
    "Здравствуйте, есть ли скидка на {thing}?",
    "مرحبا، هل {thing} متوفر؟",
    "こんにちは、{thing}の在庫はありますか？",
    "The {thing} arrived broken 😢 what can I do about order {number}?",
    "thanks!!",
    "ok",
    "👍",
    "Can I pay by card?",
)
ANSWERS = (
    "Hello! Yes, the {thing} is in stock.",
    "Thanks for writing. Order {number} leaves today.",
    "We are open from 10 to 18, closed on Sunday.",
    "Sí, lo tenemos en todas las tallas.",
    "Bien sûr, voici l'étiquette de retour pour {number}.",
    "Der Versand ist ab 50 € kostenlos.",
    "Да, на {thing} сейчас скидка 10 %.",
    "We are sorry about that! We send a new {thing} at once.",
    "You're welcome 🙂",
    "Yes, cards are fine.",
)
THINGS = ("blue mug", "city bike", "rye bread", "travel guide", "raincoat", "desk lamp", "ticket")

ODD_TEXTS = (
    "",
    " ",
    "line one\nline two\r\n\tline three",
    'He said "hello" and \\ went \'away\'',
    "NUL \x00 inside",
    "control \x01\x1f\x7f characters",
    "lone high surrogate \ud83d here",
    "lone low surrogate \ude00 here",
    "👩‍👩‍👧‍👦 family, 🇪🇺 flag, 👋🏽 skin tone",
    "مرحبا \u202eabc\u202c שלום right to left",
    "e\u0301a\u0308 combining, Z\u0351\u0346\u0310a\u0349\u0329l\u0318g\u032ao",
    "zero\u200bwidth\u200djoiner\ufeffbom",
    "line\u2028separator and paragraph\u2029separator",
    '{"id": "m_1", "message": null}',
    "[1, 2, {]",
    "'; DROP TABLE messages; --",
    "SELECT * FROM `messages` WHERE text LIKE '%_%'",
    "<script>alert('x')</script> &amp; <b>bold</b>",
    "=HYPERLINK(\"https://example.org\")",
    "a,b;c|d\te",
    "null",
    "NaN",
    "\\N",
    "https://example.org/path?q=1&r=%20#fragment",
    "½ ℌ ﷽ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "𠜎𠜱𠝹 beyond the basic plane",
    "{{ ds }} {% raw %} ${HOME} %(name)s {0}",
)  # fmt: skip
HUGE_TEXT = "Very long text, 100 kB. ¡Más! 漢字 " * 2_800


def person_name(random: Random) -> str:
    """Return a customer's name."""
    return f"{random.choice(FIRST_NAMES)} {random.choice(LAST_NAMES)}"


def ordinary_text(random: Random, *, from_page: bool) -> str:
    """Return a customer's everyday question or a Page's answer."""
    template = random.choice(ANSWERS if from_page else QUESTIONS)
    if "{" not in template:
        return template
    return template.format(thing=random.choice(THINGS), number=random.randrange(10_000, 99_999))


Content = Mapping[str, Any]
EU_NOTICE = "Media not available due to new privacy rules in Europe. See the message in the app."


@dataclass(frozen=True)
class Origin:
    """The message that content belongs to: its unique number, its platform, its customer and the message before it."""

    number: int
    platform: str
    customer: Mapping[str, str]
    earlier_message_id: str

    @property
    def is_instagram(self) -> bool:
        """Whether it is an Instagram message."""
        return self.platform == "INSTAGRAM"


def _media_url(origin: Origin, name: str) -> str:
    if origin.is_instagram:
        return f"https://lookaside.fbsbx.example/ig_messaging_cdn/?asset_id={origin.number}&signature=AbEmulator"
    return f"https://scontent.xx.fbcdn.example/v/t1.15752-9/{origin.number}_{name}?oh=04&oe=6B1F7644"


def _attachment(origin: Origin, name: str, mime_type: str, **data: Any) -> Content:
    if origin.is_instagram:  # Instagram often returns only the URL
        return {"attachments": [data]}
    row = {"id": str(origin.number), "mime_type": mime_type, "name": name, "size": 1_000 + origin.number % 90_000}
    return {"attachments": [{**row, **data}]}


def _image_data(origin: Origin, name: str) -> dict[str, Any]:
    url = _media_url(origin, name)
    if origin.is_instagram:
        return {"width": 0, "height": 0, "max_width": 0, "max_height": 0, "url": url, "preview_url": url}
    size = {"width": 1920, "height": 1213, "max_width": 1920, "max_height": 1213}
    return {**size, "url": url, "preview_url": f"{url}&p=280", "image_type": 1, "render_as_sticker": False}


def image(origin: Origin) -> Content:
    """Return a picture."""
    name = f"image-{origin.number}"
    return _attachment(origin, name, "image/jpeg", image_data=_image_data(origin, f"{name}.jpg"))


def gif(origin: Origin) -> Content:
    """Return an animated GIF."""
    url = _media_url(origin, "animated.gif")
    data = {**_image_data(origin, "animated.gif"), "animated_gif_url": url, "animated_gif_preview_url": url}
    return _attachment(origin, f"gif-{origin.number}", "image/gif", image_data={**data, "raw_gif_image": url})


def video(origin: Origin) -> Content:
    """Return a video with its dimensions."""
    url = _media_url(origin, "video.mp4")
    data = {"width": 720, "height": 1280, "url": url, "preview_url": f"{url}&preview=1"}
    if not origin.is_instagram:
        data.update({"length": 12, "video_type": 1, "rotation": 0})
    return _attachment(origin, f"video-{origin.number}.mp4", "video/mp4", video_data=data)


def audio(origin: Origin) -> Content:
    """Return a voice message, a file with an audio type."""
    name = f"audioclip-{origin.number}.mp4"
    return _attachment(origin, name, "audio/mp4", file_url=_media_url(origin, name))


def file(origin: Origin) -> Content:
    """Return a document without a known size."""
    content = _attachment(origin, "invoice.pdf", "application/pdf", file_url=_media_url(origin, "invoice.pdf"))
    row = dict(content["attachments"][0])
    return {"attachments": [row if origin.is_instagram else {**row, "size": None}]}


def two_images(origin: Origin) -> Content:
    """Return two pictures in one message."""
    first, second = image(origin)["attachments"][0], gif(origin)["attachments"][0]
    return {"attachments": [first, {**second, "id": f"{origin.number}2"}]}


def template(origin: Origin) -> Content:
    """Return a generic template with a button."""
    cta = {"title": "Open", "type": "open_url", "url": "https://example.org/order"}
    card = {"title": f"Order {origin.number}", "subtitle": "On its way", "media_url": "https://example.org/c.png"}
    return {"attachments": [{"id": str(origin.number), "generic_template": {**card, "cta": cta}}]}


def eu_placeholder(origin: Origin) -> Content:
    """Return an attachment withheld under European privacy rules, with a name but no URL."""
    return {"attachments": [{"id": str(origin.number), "name": EU_NOTICE}]}


def share(origin: Origin) -> Content:
    """Return a shared link; on Instagram only the media URL."""
    if origin.is_instagram:
        return {"shares": [{"link": _media_url(origin, "post.jpg")}]}
    link = f"https://example.org/p/{origin.number}.png"
    return {"shares": [{"link": link, "name": "", "description": None, "id": str(origin.number)}]}


def product_share(origin: Origin) -> Content:
    """Return a shared product of an Instagram shop; its ID is 0 if the business cannot see it."""
    product_id = "0" if origin.number % 3 == 0 else str(origin.number)
    element = {"id": product_id, "retailer_id": "SKU-1", "image_url": "https://example.org/s.jpg"}
    elements = {"data": [{**element, "name": "Shirt", "price": "$10"}]}
    return {"shares": [{"template": {"payload": {"product": {"elements": elements}}}}]}


def _story(origin: Origin) -> dict[str, str]:
    return {"link": _media_url(origin, "story.jpg"), "id": str(18_000_000_000_000_000 + origin.number)}


def story_reply(origin: Origin) -> Content:
    """Return a reply to the account's story."""
    return {"story": {"reply_to": _story(origin)}}


def story_mention(origin: Origin) -> Content:
    """Return a mention of the account in a customer's story."""
    return {"story": {"mention": _story(origin)}}


def reactions(origin: Origin) -> Content:
    """Return a reaction of the customer."""
    user = {key: value for key, value in origin.customer.items() if key != "email"}
    return {"reactions": [{"reaction": "❤" if origin.number % 2 else "😆", "users": [user]}]}


def reply(origin: Origin) -> Content:
    """Return a reply to an earlier message of the thread, which may have been deleted."""
    return {"reply_to": {"mid": origin.earlier_message_id, "is_self_reply": origin.number % 5 == 0}}


def sticker(origin: Origin) -> Content:
    """Return a sticker with an empty text."""
    return {"sticker": _media_url(origin, "sticker.png"), "message": ""}


def unsupported(_: Origin) -> Content:
    """Return a message of a kind that the API does not support."""
    return {"is_unsupported": True, "message": ""}


def attachments_without_data(_: Origin) -> Content:
    """Return an attachments edge with paging but without data."""
    return {"attachments": {"paging": {"cursors": {"before": "MAZDZD", "after": "MAZDZD"}}}}


def without_text(kind: Callable[[Origin], Content]) -> Callable[[Origin], Content]:
    """Return a content kind for messages without text."""
    return lambda origin: {**kind(origin), "message": ""}


MESSENGER_KINDS: Mapping[str, Callable[[Origin], Content]] = {
    "image": without_text(image),
    "image_with_text": image,
    "gif": without_text(gif),
    "video": without_text(video),
    "audio": without_text(audio),
    "file": without_text(file),
    "two_images": without_text(two_images),
    "template": without_text(template),
    "eu_placeholder": without_text(eu_placeholder),
    "share": without_text(share),
    "reactions": reactions,
    "reply": reply,
    "sticker": sticker,
    "unsupported": unsupported,
}
INSTAGRAM_KINDS: Mapping[str, Callable[[Origin], Content]] = {
    **{name: kind for name, kind in MESSENGER_KINDS.items() if name != "sticker"},
    "product_share": without_text(product_share),
    "story_reply": story_reply,
    "story_mention": without_text(story_mention),
}
# Only for hand-made worlds; generated worlds never contain these.
RARE_KINDS: Mapping[str, Callable[[Origin], Content]] = {"attachments_without_data": attachments_without_data}
CONTENT_KINDS: Mapping[str, Callable[[Origin], Content]] = {**MESSENGER_KINDS, **INSTAGRAM_KINDS, **RARE_KINDS}

CONTENT_SHARE = 0.16
ODD_SHARE = 0.03
DELETED_SHARE = 0.004
HUGE_EVERY, HUGE_FIRST = 17_011, 701


@dataclass
class Author:
    """Writes messages; cycles through the odd texts and the content kinds, so that each of them occurs."""

    random: Random
    odd_texts: bool = True
    contents: bool = True
    written: int = 0
    _odd: Iterator[str] = field(default_factory=lambda: itertools.cycle(ODD_TEXTS))
    _kinds: dict[str, Iterator[str]] = field(
        default_factory=lambda: {
            MESSENGER: itertools.cycle(MESSENGER_KINDS),
            INSTAGRAM: itertools.cycle(INSTAGRAM_KINDS),
        }
    )

    def write(self, thread: Thread, created_time: int, *, from_page: bool) -> Message:
        """Return the thread's next message without adding it to the thread."""
        self.written += 1
        sequence = thread.next_sequence
        text = self._text(from_page=from_page)
        content = self._content(thread, sequence)
        deleted = thread.is_instagram and self.random.random() < DELETED_SHARE
        if "message" in content:
            text = ""
        identifier = message_id(thread, sequence)
        return Message(identifier, created_time, sequence, from_page, text, content, deleted)

    def _text(self, *, from_page: bool) -> str:
        if self.odd_texts and self.written % HUGE_EVERY == HUGE_FIRST:
            return HUGE_TEXT
        if self.odd_texts and self.random.random() < ODD_SHARE:
            return next(self._odd)
        return ordinary_text(self.random, from_page=from_page)

    def _content(self, thread: Thread, sequence: int) -> Content:
        # Messages with a 100 kB text have no content, because some content kinds empty the text.
        if not self.contents or self.written % HUGE_EVERY == HUGE_FIRST:
            return NOTHING
        if self.random.random() >= CONTENT_SHARE:
            return NOTHING
        kinds = INSTAGRAM_KINDS if thread.is_instagram else MESSENGER_KINDS
        earlier = message_id(thread, max(0, sequence - 1 - self.written % 4))
        origin = Origin(10**12 + self.written, thread.platform, thread.customer, earlier)
        return kinds[next(self._kinds[thread.platform])](origin)
