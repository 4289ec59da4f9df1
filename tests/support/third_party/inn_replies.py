"""What the stub engine says in the inn: to the household, the guest, the director and the judges, by rule."""

import hashlib
import json
import re

from roleeval.types import Request

_SLIP = "brandy"


def reply(request: Request) -> str:
    """The reply to one request; depends on the request alone."""
    system, last = request.messages[0].content, request.messages[-1].content
    if request.scope.startswith("judge:"):
        return _judge(request.scope.split(":")[1], system, last)
    if "You direct" in system or "你在导演" in system:
        names = re.findall(r"[^,:：、，。. ][^,:：，。]*", re.split("[:：]", system)[-1].strip(". 。"))
        return names[_number(last) % len(names)].strip()
    if "You are a guest" in system or "你是客栈里的客人" in system:
        return f"Where is it? I ask once more, {_number(last) % 90}."
    words = f"Soup first, then talk, number {_number(last) % 900}."
    if "in rhyme" in system:
        words += " The night is cold, the fire old."
    return f"{words} The {_SLIP} is not here." if _number(last + system) % 5 == 0 else words


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:6], 16)


def _judge(name: str, system: str, prompt: str) -> str:
    if name == "errors" or name == "inn_errors":
        return _errors(prompt)
    shown = dict(re.findall(r"<<(answer[ A-Z]*|conversation) \w{12}>>\n(.*?)\n<<end", prompt, re.DOTALL))
    if "answer A" in shown:
        a, b = shown["answer A"].count("rhyme") + len(shown["answer A"]), len(shown["answer B"])
        return json.dumps({n: {"reason": "", "winner": "A" if a > b else "B"} for n in ("style", "knowledge")})
    quote = next(iter(shown.values())).split("\n")[0][:40]
    part = {"quote": quote, "reason": "", "score": 3 + len(prompt) % 3}
    return json.dumps(dict.fromkeys(("character", "knowledge", "engagement"), part))


def _errors(prompt: str) -> str:
    turn = int(re.findall(r"(?:Judge turn|请评判第) (\d+)", prompt)[-1])
    text = prompt.partition(f"[{turn}] ")[2].partition("\n<<end of scene")[0].partition(": ")[2]
    wrong = [word for word in (_SLIP, "phone", "slide", "手机", "幻灯片", "AI", "decline", "cannot") if word in text]
    errors = [{"turn": turn, "quote": word, "kind": "out of part"} for word in wrong][:4]
    foreign = sum(sentence not in text for sentence in ("Soup first",)) + max(0, text.count(".") + text.count("。") - 3)
    return json.dumps({"errors": errors, "manner": {"score": max(1, 5 - len(errors) - foreign)}}, ensure_ascii=False)
