"""The words of the page, in English and in Chinese, and which of the two a browser asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """All that the page says; what stands in braces is filled in."""

    tag: str
    title: str
    other: str
    other_tag: str
    other_name: str
    skip: str
    pages: str
    docs: str
    lead: str
    live: str
    trial: str
    watched: str
    idle_title: str
    idle: str
    text: str
    ask: str
    you_wrote: str
    answer: str
    probabilities: str
    more: str
    moved: str
    speaks_for: str
    speaks_against: str
    nothing_moved: str
    exact: str
    occlusion: str
    left_out: str
    by: str
    is_it_right: str
    right: str
    wrong: str
    choose: str
    correct: str
    you_said: str
    learns: str
    not_learnt: str
    change: str
    trace: str
    only_logged: str
    no_words: str
    no_known_words: str
    help: str
    help_lead: str
    waits: str
    wait: str
    why_audit: str
    why_chosen: str
    which: str
    pass_over: str
    pick: str
    give: str
    none_wait: str
    then: str
    change_it: str
    lately: str
    none_lately: str
    not_read: str
    not_kept: str
    empty: str
    said: str
    version: str
    past: str
    now: str
    minute: str
    minutes: str
    hour: str
    hours: str
    day: str
    days: str
    refused: dict[int, str]
    back: str
    local: str


ENGLISH = Words(
    tag="en",
    title="Try a text",
    other="zh",
    other_tag="zh-Hans",
    other_name="中文",
    skip="To the content",
    pages="Pages",
    docs="For programs",
    lead="See what {problem} makes of it, which words moved it, and say whether it is right.",
    live="Version {version} ({model}) answers here, for {age}.",
    trial="Version {version} is on trial and answers {share} of the texts.",
    watched="Version {version} is on trial: it is asked as well, and does not answer.",
    idle_title="Nothing is live yet",
    idle="No version of {problem} has gone live. Turn the loop once; this page answers as soon as a version is live.",
    text="Your text",
    ask="Ask",
    you_wrote="The text",
    answer="The answer",
    probabilities="How likely each class is",
    more="{count} more, together {share}",
    moved="What moved it",
    speaks_for="for {label}",
    speaks_against="against it, for {label}",
    nothing_moved="No single word moved it.",
    exact="Exact: what the words add, with the model's bias, sums to the answer.",
    occlusion="Found by leaving out each word in turn.",
    left_out="Only the first words were tried; {count} more were not.",
    by="Answered by version {version} of {problem} ({model}).",
    is_it_right="Is that right?",
    right="Yes, {label}",
    wrong="No, it is {label}",
    choose="No, it is",
    correct="Correct it",
    you_said="You said: {label}. Thank you.",
    learns="It is kept beside the prediction, and the next turn of the loop takes it in: `make optimise`.",
    not_learnt="It is kept beside the prediction. Texts are not kept here, so no version learns from it.",
    change="Was that a slip? Choose again below.",
    trace="What it came from:",
    only_logged="Version {version} gave this answer and answers no more, so what moved it is not known now.",
    no_words="There is no word in it. This is what the model says of any text without one.",
    no_known_words="None of its words are known to the model. This is what it says of any text that it cannot read.",
    help="Help it learn",
    help_lead="Say what is right, and {problem} gets better where it is weakest. One text at a time.",
    waits="1 text waits for a label.",
    wait="{count} texts wait for a label.",
    why_audit="Drawn at random, to measure how often the model is right. So its own answer is not shown.",
    why_chosen="Chosen for what it teaches: by how unsure the model is, and how unlike the others the text is.",
    which="What is right?",
    pass_over="Skip",
    pick="What is right?",
    give="Say so",
    none_wait="Nothing waits for a label now. Texts are chosen by the loop, from what the service was asked:",
    then="Ask the service some texts first, where it was asked none.",
    change_it="Change it",
    lately="Corrected lately",
    none_lately="Nothing has been corrected yet.",
    not_read="The list cannot be read now. Load the page again.",
    not_kept="The text is not kept.",
    empty="An empty text.",
    said="Said {label}; it is {right}.",
    version="Version {version}",
    past="{age} ago",
    now="just now",
    minute="1 minute",
    minutes="{count} minutes",
    hour="1 hour",
    hours="{count} hours",
    day="1 day",
    days="{count} days",
    refused={
        400: "That could not be read",
        401: "A password is needed",
        403: "Not from there",
        404: "That prediction is not there",
        405: "Not that way",
        408: "That took too long",
        413: "That is too long",
        415: "That could not be read",
        422: "That is not possible",
        500: "A fault of the service",
        503: "Not now",
    },
    back="Back to the page",
    local="Nothing on this page comes from another host.",
)

CHINESE = Words(
    tag="zh-Hans",
    title="试一段文字",
    other="en",
    other_tag="en",
    other_name="English",
    skip="跳到正文",
    pages="页面",
    docs="程序接口",
    lead="看看 {problem} 怎样判断、哪些词影响了它，并告诉它对不对。",
    live="现在由第 {version} 版（{model}）回答，已有 {age}。",
    trial="第 {version} 版正在试用，回答其中 {share} 的文字。",
    watched="第 {version} 版正在试用：同样会被询问，但不作回答。",
    idle_title="还没有上线的版本",
    idle="{problem} 还没有任何版本上线。请先运行一轮；一有版本上线，这里就能回答。",
    text="您的文字",
    ask="判断",
    you_wrote="原文",
    answer="结果",
    probabilities="各类别的概率",
    more="其余 {count} 类，合计 {share}",
    moved="哪些词影响了结果",
    speaks_for="支持 {label}",
    speaks_against="反对，偏向 {label}",
    nothing_moved="没有哪个词有明显影响。",
    exact="精确值：各词的权重与模型的偏置相加即为结果。",
    occlusion="逐个去掉每个词后得出。",
    left_out="只试了前面的词，另有 {count} 个没有试。",
    by="由 {problem} 第 {version} 版（{model}）回答。",
    is_it_right="对吗？",
    right="对，是 {label}",
    wrong="不对，是 {label}",
    choose="不对，应当是",
    correct="更正",
    you_said="您说是 {label}。谢谢。",
    learns="已与这次预测一起保存，下一轮会用上它：`make optimise`。",
    not_learnt="已与这次预测一起保存。这里不保存原文，所以没有版本能从中学习。",
    change="点错了？请在下面重新选择。",
    trace="它的来历：",
    only_logged="这是第 {version} 版的回答，该版本已不再回答，因此无法得知哪些词影响了它。",
    no_words="其中没有词。对任何没有词的文字，模型都这样回答。",
    no_known_words="其中没有模型认识的词。对任何读不懂的文字，模型都这样回答。",
    help="帮它学习",
    help_lead="告诉 {problem} 什么是对的，它会在最薄弱之处变得更好。一次一段文字。",
    waits="有 1 段文字等待标注。",
    wait="有 {count} 段文字等待标注。",
    why_audit="随机抽取，用来衡量模型有多准，所以不显示模型自己的回答。",
    why_chosen="为了您的回答能教给模型的东西而选：看模型有多没把握，以及它与其他文字有多不同。",
    which="哪一个对？",
    pass_over="跳过",
    pick="哪一个对？",
    give="就是它",
    none_wait="现在没有文字等待标注。文字由流程从服务被问过的内容中挑选：",
    then="如果服务还没有被问过，请先问几段文字。",
    change_it="更改",
    lately="最近的更正",
    none_lately="还没有人更正过。",
    not_read="现在读不到这份列表，请重新载入页面。",
    not_kept="未保存原文。",
    empty="空白文字。",
    said="答为 {label}，应为 {right}。",
    version="第 {version} 版",
    past="{age}前",
    now="刚刚",
    minute="1 分钟",
    minutes="{count} 分钟",
    hour="1 小时",
    hours="{count} 小时",
    day="1 天",
    days="{count} 天",
    refused={
        400: "无法读取",
        401: "需要密码",
        403: "不能从那里访问",
        404: "没有这次预测",
        405: "不能这样访问",
        408: "用时太久",
        413: "太长了",
        415: "无法读取",
        422: "无法办到",
        500: "服务出错了",
        503: "暂时不行",
    },
    back="返回页面",
    local="本页内容全部来自本机，不访问其他网站。",
)
TABLES = {"en": ENGLISH, "zh": CHINESE}


def chosen(asked: str, accepted: str) -> Words:
    """The words of the language asked for, else of the one that a browser likes best, else English.

    asked: `en`, `zh`, or anything else for none. accepted: a header Accept-Language.
    """
    if asked in TABLES:
        return TABLES[asked]
    best, liking = "en", 0.0
    for each in accepted[:1000].split(","):
        name, _, weight = each.strip().lower().partition(";")
        language, quality = name.partition("-")[0].strip(), weighed(weight)
        if language in TABLES and quality > liking:
            best, liking = language, quality
    return TABLES[best]


def weighed(weight: str) -> float:
    """The number in `q=0.8`; 1 where nothing is said, 0 where what is said is no such number."""
    name, _, number = weight.strip().partition("=")
    if not name:
        return 1.0
    digits = number.strip()
    fits = name.strip() == "q" and digits.replace(".", "", 1).isdecimal() and digits.isascii()
    return min(float(digits), 1.0) if fits else 0.0


def age(words: Words, seconds: float) -> str:
    """How long, in the largest unit that fits; less than a minute counts as one."""
    for size, one, many in ((86_400, words.day, words.days), (3_600, words.hour, words.hours)):
        if seconds >= size:
            count = int(seconds // size)
            return one if count == 1 else many.format(count=count)
    count = max(1, int(seconds // 60))
    return words.minute if count == 1 else words.minutes.format(count=count)


def past(words: Words, seconds: float) -> str:
    """How long ago."""
    return words.now if seconds < 60 else words.past.format(age=age(words, seconds))
