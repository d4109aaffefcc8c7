"""What people write and are called in the generated world: ordinary, many scripts, and deliberately odd."""

# ruff: noqa: RUF001  (the look-alike letters of other scripts are the point)
from __future__ import annotations

from random import Random

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
    """Return an everyday question of a customer or answer of a Page."""
    template = random.choice(ANSWERS if from_page else QUESTIONS)
    if "{" not in template:
        return template
    return template.format(thing=random.choice(THINGS), number=random.randrange(10_000, 99_999))
