"""Speed of matching: who a mail is about and what the rules say, in microseconds a message.

python -m bench.matching [MESSAGES]

Row 11: 1,000 customers and 100 rules; row 12: 1,000,000 customers and 10,000 rules. Customers come with a batch's
directory in the product (a query each batch), so the large run asks directories cut to the mail at hand; making
those is not counted. Mail is half known, in pt, ru and en, 300 to 1,500 characters of new text.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from config.errors import Problem
from config.settings import Settings
from connectors.model import Address, Kind, Message
from rules.engine import evaluate
from rules.facts import ContactFacts, CustomerFacts, Directory, Moment
from rules.load import RuleSet, load_ruleset

NOW = datetime(2026, 11, 20, 13, 0, tzinfo=UTC)
ROUNDS = 7
VOICES = {
    "pt": "bom dia gostaria de saber o prazo da entrega das caixas para sexta o boleto chegou com valor errado segue "
    "em anexo a nota obrigado pela atenção aguardo retorno do pedido não recebi a confirmação ainda pode verificar",
    "ru": "добрый день подскажите пожалуйста когда будет готов заказ мы оплатили вчера и ждём подтверждения спасибо за "
    "быстрый ответ нужна копия договора на этой неделе пришлите документы почтой",
    "en": "good morning could you tell me when the boxes will be delivered the invoice has a wrong amount please see "
    "attached thank you for your help i am waiting for your answer about the order",
}
STEMS = ("orçament", "reclam", "defeit", "proposta", "contrat", "fatur", "quot", "refund", "broken", "прайс", "счёт")


def settings() -> Settings:
    """A small office."""
    return Settings.model_validate(
        {
            "company": {"name": "Vendas", "zone": "America/Sao_Paulo", "language": "pt"},
            "internal": ["@vendas.example"],
            "team": {"ana": {"mail": "ana@vendas.example"}, "bruno": {"mail": "bruno@vendas.example"}},
        }
    )


def rules_text(count: int, chance: random.Random) -> str:
    """Rules as offices write them: mostly words, some senders, segments, header and attachment rules, few patterns."""
    lines = ["rules:"]
    for number in range(count):
        lines += [f"  - name: rule-{number}", "    when: mail arrives", f"    if: {_condition(number, chance)}"]
        lines.append(f"    then: {{tag: tag-{number}}}")
    return "\n".join(lines) + "\n"


def _condition(number: int, chance: random.Random) -> str:
    sort = number % 20
    if sort < 10:
        words = ", ".join(
            f"{chance.choice(STEMS)}{number}x*" if number > 30 else chance.choice(STEMS) + "*" for _ in "ab"
        )
        return f"{{known: yes, text: [{words}, palavra{number}, frase numero {number}]}}"
    if sort < 14:
        return f'{{from: ["@firma{number}.example", pessoa{number}@sol{number}.example], none: [{{is: forward}}]}}'
    if sort < 16:
        return f"{{segment: seg{number}, subject: [urgente{number}]}}"
    if sort < 18:
        return f"{{known: yes, subject: {{starts: [pedido {number}]}}, time: business_hours}}"
    if sort == 18:
        return f"{{is: automated, subject: [aviso{number}]}}"
    return (
        f"{{known: yes, subject: {{regex: 'pedido\\s+{number}-\\d{{6}}'}}}}" if number < 200 else f"{{tag: t{number}}}"
    )


def load(count: int) -> RuleSet:
    """`count` rules, read from files like an office's."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        chance = random.Random(1)
        text = rules_text(count, chance).strip().split("\n")[1:]
        for part in range(0, len(text), 4000):
            (folder / "rules" / f"{part:06}.yaml").write_text("\n".join(["rules:", *text[part : part + 4000]]) + "\n")
        problems: list[Problem] = []
        ruleset = load_ruleset(folder, settings(), problems)
        assert not problems, problems[:3]
        assert len(ruleset.rules) == count
        return ruleset


def message(number: int, customers: int, chance: random.Random) -> Message:
    """One mail; half of them are from somebody known."""
    voice = VOICES[chance.choice(("pt", "pt", "ru", "en"))].split()
    text = " ".join(chance.choices(voice, k=chance.randint(50, 230))).capitalize() + "."
    if chance.random() < 0.1:
        text += f" Quero um {chance.choice(STEMS)}o."
    customer = chance.randrange(customers)
    known = chance.random() < 0.5
    sender = f"maria@sol{customer}.example" if known else f"joao{number}@gmail.com"
    return Message(
        account="ana",
        folder="INBOX",
        ref=f"1:{number}",
        message_id=f"{number}@mail.example",
        references=(f"{number - 1}@mail.example",) if chance.random() < 0.4 else (),
        sent_at=NOW,
        received_at=NOW,
        sender=Address(sender, "Maria Souza"),
        to=(Address("ana@vendas.example"),),
        cc=(Address("bruno@vendas.example"),),
        subject=" ".join(chance.choices(voice, k=5)),
        text=text,
        kind=Kind.BULK if chance.random() < 0.1 else Kind.HUMAN,
    )


def directory(mails: Sequence[Message]) -> Directory:
    """What the store would answer for these mails."""
    contacts: dict[str, tuple[ContactFacts, ...]] = {}
    facts: dict[int, CustomerFacts] = {}
    for mail in mails:
        sender = mail.sender
        if sender and sender.domain.startswith("sol"):
            number = int(sender.domain[3:].partition(".")[0])
            facts[number] = CustomerFacts(id=number, name=f"Sol {number}", stage="lead", segment=f"seg{number % 50}")
            contacts[sender.key] = (ContactFacts(id=number, customer_id=number, name="Maria", emails=(sender.key,)),)
    return Directory(contacts=contacts, domains={f"sol{one}.example": (one,) for one in facts}, customers=facts)


def measure(customers: int, rules: int, count: int) -> tuple[float, int]:
    """Median microseconds a message, and how many rules fired."""
    ruleset, office, chance = load(rules), settings(), random.Random(7)
    mails = [message(number, customers, chance) for number in range(count)]
    batches = [mails[start : start + 200] for start in range(0, count, 200)]
    known = [directory(batch) for batch in batches]
    loaded = {rule.name: NOW - timedelta(days=9) for rule in ruleset.rules}
    moment = Moment(now=NOW, baseline=NOW - timedelta(days=9), loaded=loaded)
    rounds: list[float] = []
    fired = 0
    for _ in range(ROUNDS):
        fired = 0
        start = time.process_time()
        for batch, facts in zip(batches, known, strict=True):
            for mail in batch:
                fired += len(evaluate(ruleset, mail, facts, office, moment).actions)
        rounds.append((time.process_time() - start) / count * 1e6)
    return statistics.median(rounds), fired


def main() -> None:
    """Print both rows."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    small, fired = measure(1000, 100, count)
    print(f"row 11  1,000 customers, 100 rules: {small:.1f} us/message (must 100, aim 30), {fired} actions")
    large, fired = measure(1_000_000, 10_000, count)
    print(
        f"row 12  1,000,000 customers, 10,000 rules: {large:.1f} us/message (must 200, aim 60), "
        f"{large / small:.1f} times row 11 (must 4, aim 2.5), {fired} actions"
    )


if __name__ == "__main__":
    main()
