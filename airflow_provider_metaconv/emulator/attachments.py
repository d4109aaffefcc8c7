"""Everything a message may carry besides text: one small function per kind, listed in `CONTENT_KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Content = Mapping[str, Any]
EU_NOTICE = "Media not available due to new privacy rules in Europe. See the message in the app."


@dataclass(frozen=True)
class Origin:
    """What a kind needs to know of its message: a number unique to it, the platform and the people."""

    number: int
    platform: str
    customer: Mapping[str, str]
    earlier_message_id: str

    @property
    def is_instagram(self) -> bool:
        """Whether the message came over Instagram."""
        return self.platform == "INSTAGRAM"


def _media_url(origin: Origin, name: str) -> str:
    if origin.is_instagram:
        return f"https://lookaside.fbsbx.example/ig_messaging_cdn/?asset_id={origin.number}&signature=AbEmulator"
    return f"https://scontent.xx.fbcdn.example/v/t1.15752-9/{origin.number}_{name}?oh=04&oe=6B1F7644"


def _attachment(origin: Origin, name: str, mime_type: str, **data: Any) -> Content:
    if origin.is_instagram:  # Instagram often gives nothing but the URL
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
    """Return an animated picture."""
    url = _media_url(origin, "animated.gif")
    data = {**_image_data(origin, "animated.gif"), "animated_gif_url": url, "animated_gif_preview_url": url}
    return _attachment(origin, f"gif-{origin.number}", "image/gif", image_data={**data, "raw_gif_image": url})


def video(origin: Origin) -> Content:
    """Return a film with its measures."""
    url = _media_url(origin, "video.mp4")
    data = {"width": 720, "height": 1280, "url": url, "preview_url": f"{url}&preview=1"}
    if not origin.is_instagram:
        data.update({"length": 12, "video_type": 1, "rotation": 0})
    return _attachment(origin, f"video-{origin.number}.mp4", "video/mp4", video_data=data)


def audio(origin: Origin) -> Content:
    """Return a voice message, which is a file of an audio type."""
    name = f"audioclip-{origin.number}.mp4"
    return _attachment(origin, name, "audio/mp4", file_url=_media_url(origin, name))


def file(origin: Origin) -> Content:
    """Return a document whose size Meta does not know."""
    content = _attachment(origin, "invoice.pdf", "application/pdf", file_url=_media_url(origin, "invoice.pdf"))
    row = dict(content["attachments"][0])
    return {"attachments": [row if origin.is_instagram else {**row, "size": None}]}


def two_images(origin: Origin) -> Content:
    """Return two pictures in one message."""
    first, second = image(origin)["attachments"][0], gif(origin)["attachments"][0]
    return {"attachments": [first, {**second, "id": f"{origin.number}2"}]}


def template(origin: Origin) -> Content:
    """Return a card with a button."""
    cta = {"title": "Open", "type": "open_url", "url": "https://example.org/order"}
    card = {"title": f"Order {origin.number}", "subtitle": "On its way", "media_url": "https://example.org/c.png"}
    return {"attachments": [{"id": str(origin.number), "generic_template": {**card, "cta": cta}}]}


def eu_placeholder(origin: Origin) -> Content:
    """Return an attachment withheld under European privacy rules: a name and no URL."""
    return {"attachments": [{"id": str(origin.number), "name": EU_NOTICE}]}


def share(origin: Origin) -> Content:
    """Return a shared link; Instagram gives the media URL only."""
    if origin.is_instagram:
        return {"shares": [{"link": _media_url(origin, "post.jpg")}]}
    link = f"https://example.org/p/{origin.number}.png"
    return {"shares": [{"link": link, "name": "", "description": None, "id": str(origin.number)}]}


def product_share(origin: Origin) -> Content:
    """Return a shared product of an Instagram shop; its id is 0 when the business cannot see it."""
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
    """Return a mention of the account in somebody's story."""
    return {"story": {"mention": _story(origin)}}


def reactions(origin: Origin) -> Content:
    """Return a reaction of the customer."""
    user = {key: value for key, value in origin.customer.items() if key != "email"}
    return {"reactions": [{"reaction": "❤" if origin.number % 2 else "😆", "users": [user]}]}


def reply(origin: Origin) -> Content:
    """Return a reply to an earlier message of the thread, which may be deleted by now."""
    return {"reply_to": {"mid": origin.earlier_message_id, "is_self_reply": origin.number % 5 == 0}}


def sticker(origin: Origin) -> Content:
    """Return a sticker: its URL, and an empty text."""
    return {"sticker": _media_url(origin, "sticker.png"), "message": ""}


def unsupported(_: Origin) -> Content:
    """Return a message whose kind the API does not hand over."""
    return {"is_unsupported": True, "message": ""}


def attachments_without_data(_: Origin) -> Content:
    """Return an attachments edge that holds paging and no data."""
    return {"attachments": {"paging": {"cursors": {"before": "MAZDZD", "after": "MAZDZD"}}}}


def without_text(kind: Callable[[Origin], Content]) -> Callable[[Origin], Content]:
    """Return the kind for messages that carry nothing but it."""
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
# Kinds for hand-made worlds; generated ones have none of them.
RARE_KINDS: Mapping[str, Callable[[Origin], Content]] = {"attachments_without_data": attachments_without_data}
CONTENT_KINDS: Mapping[str, Callable[[Origin], Content]] = {**MESSENGER_KINDS, **INSTAGRAM_KINDS, **RARE_KINDS}
