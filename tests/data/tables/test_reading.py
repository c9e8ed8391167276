"""Reading a table as its owner saved it: every usual form comes out as the same texts, every damage is named by its
line."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from ratchet.data.incoming.preview import synopsis
from ratchet.data.tables.reading import Reading, read, read_table
from ratchet.project.errors import Refusal
from ratchet.tasks.classify_text.columns import Columns
from tests.support.tables import CLASSIFY, queue_table

WESTERN = [
    ("Un film très réussi, vraiment", "bon"),
    ("Ein «schönes» Stück; größer als gedacht", "gut"),
    ('Elle a dit: "déjà vu" | rien', "mal"),
    ("Two lines:\nthe second,\twith more", "so so"),
]
CHINESE = [
    ("这个电影很好看，我喜欢", "好"),
    ('他说:"质量太差了", 不会再来', "差"),
    ("第一行;\n第二行 | 完", "一般"),
]
JAPANESE = [
    ("この映画はとても素晴らしかった。もう一度見たいと思います。", "良い"),
    ("配送が遅く、\n梱包も雑でした。", "悪い"),
    ("ストーリーが退屈で、途中で寝てしまいました。", "悪い"),
]
KOREAN = [
    ("이 영화는 정말 재미있었어요. 다시 보고 싶습니다.", "좋음"),
    ("배송이 너무 늦고\n포장이 엉망이었습니다.", "나쁨"),
    ("가격에 비해 품질이 좋네요.", "좋음"),
]
TRADITIONAL = [
    ("這部電影非常精彩，我想再看一次。", "好"),
    ("劇情無聊，\n看到一半就睡著了。", "差"),
    ("價格便宜，品質不錯。", "好"),
]
RUSSIAN = [
    ("Этот фильм был просто великолепен, хочу посмотреть ещё раз.", "да"),
    ("Скучный сюжет,\nя уснул на середине.", "нет"),
    ("Хорошее качество за свои деньги.", "да"),
]
GREEK = [
    ("Αυτή η ταινία ήταν υπέροχη, θέλω να την ξαναδώ.", "ναι"),
    ("Βαρετή πλοκή,\nαποκοιμήθηκα στη μέση.", "όχι"),
]
HEBREW = [
    ("הסרט הזה היה נפלא, אני רוצה לראות אותו שוב.", "טוב"),
    ("עלילה משעממת,\nנרדמתי באמצע.", "רע"),
]
ARABIC = [
    ("كان هذا الفيلم رائعا وأريد أن أشاهده مرة أخرى.", "جيد"),
    ("قصة مملة\nونمت في المنتصف.", "سيئ"),
]
ENCODINGS = {
    "utf-8": ("UTF-8,", WESTERN + CHINESE),
    "utf-8-sig": ("UTF-8 with a byte order mark,", WESTERN + CHINESE),
    "utf-16": ("UTF-16,", WESTERN + CHINESE),
    "cp1252": ("Windows-1252 (guessed),", WESTERN),
    "latin-1": ("Windows-1252 (guessed),", WESTERN),
    "gb18030": ("GB18030 (guessed),", CHINESE),
    "shift-jis": ("Shift-JIS (guessed),", JAPANESE),
    "euc-jp": ("EUC-JP (guessed),", JAPANESE),
    "euc-kr": ("EUC-KR (guessed),", KOREAN),
    "big5": ("Big5 (guessed),", TRADITIONAL),
    "cp1251": ("Windows-1251 (guessed),", RUSSIAN),
    "koi8-r": ("KOI8-R (guessed),", RUSSIAN),
    "cp1253": ("Windows-1253 (guessed),", GREEK),
    "cp1255": ("Windows-1255 (guessed),", HEBREW),
    "cp1256": ("Windows-1256 (guessed),", ARABIC),
}
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def table(
    rows: list[tuple[str, str]],
    encoding: str = "utf-8",
    delimiter: str = ",",
    quoting: int = csv.QUOTE_MINIMAL,
    end: str = "\r\n",
) -> bytes:
    """A CSV as Python's own writer makes it, with a column that nobody needs."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerows([("id", "text", "label"), *((number, *row) for number, row in enumerate(rows))])
    return out.getvalue().encode(encoding)


def put(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_encoding_delimiter_and_quoting_give_the_same_texts(
    tmp_path: Path, encoding: str, delimiter: str, quoting: int, end: str
) -> None:
    name, rows = ENCODINGS[encoding]
    path = put(tmp_path, "t.tsv" if delimiter == "\t" else "t.csv", table(rows, encoding, delimiter, quoting, end))
    understood = read(path)
    assert understood.frame.columns == ["id", "text", "label"]
    assert understood.frame.select("text", "label").rows() == rows
    assert understood.forms == (f"{name} fields between {DELIMITERS[delimiter]}",)


FILLED = {"min_size": 1, "max_size": 30}
ANYTHING = st.text(st.characters(codec="utf-8"), **FILLED)
FRENCH = st.text(st.sampled_from("abcdefghij klmnopqrstuvwxyz,;|\t\"'\n" * 3 + "éèàçüößñ"), **FILLED)
LEVEL_ONE = [bytes((lead, trail)).decode("gb2312") for lead in range(0xB0, 0xD7) for trail in range(0xA1, 0xFF)]
HAN = st.text(st.sampled_from([*LEVEL_ONE, *'，。！abc,;|\t"\n']), **FILLED)
WRITTEN = st.one_of(
    *(
        st.tuples(st.just(codec), st.lists(ANYTHING, min_size=1, max_size=8))
        for codec in ("utf-8", "utf-8-sig", "utf-16")
    ),
    st.tuples(st.just("cp1252"), st.lists(FRENCH, min_size=1, max_size=8)),
    st.tuples(st.just("gb18030"), st.lists(HAN, min_size=1, max_size=8)),
)


@how(max_examples=300)
@given(WRITTEN, st.sampled_from([*DELIMITERS]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, written: tuple[str, list[str]], delimiter: str, quoting: int
) -> None:
    """But for NUL, which is refused; what is guessed has a few words to be guessed by."""
    encoding, texts = written
    words = {"cp1252": "voilà le film: ", "gb18030": "这个电影很好看，"}.get(encoding, "")
    rows = [(words + text.replace("\0", ""), "label") for text in texts]
    path = put(tmp_path_factory.mktemp("round"), "t.csv", table(rows, encoding, delimiter, quoting))
    assert read_table(path)["text"].to_list() == [text or None for text, _ in rows]


@given(st.lists(st.one_of(st.none(), st.text(), st.booleans(), st.integers()), min_size=1, max_size=8))
def test_json_records_come_back(tmp_path_factory: pytest.TempPathFactory, values: list[object]) -> None:
    records = [{"text": value, "n": number} for number, value in enumerate(values)]
    folder = tmp_path_factory.mktemp("json")
    lines = put(folder, "t.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    array = put(folder, "t.json", json.dumps(records, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    texts = [v if isinstance(v, str) or v is None else json.dumps(v) for v in values]
    for path in (lines, array):
        assert read_table(path)["text"].to_list() == texts
    assert read_table(lines)["n"].to_list() == [str(number) for number in range(len(values))]


@given(st.binary(min_size=1, max_size=3000), st.sampled_from(["t.csv", "t.tsv", "t.jsonl", "t.json"]))
def test_random_bytes_are_read_or_refused_and_never_crash(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = put(tmp_path_factory.mktemp("bytes"), name, content)
    with suppress(Refusal):
        assert set(read_table(path).dtypes) == {pl.String}


def test_a_damaged_parquet_file_is_refused_and_never_crashes(tmp_path: Path) -> None:
    path, chance = tmp_path / "t.parquet", random.Random(1)
    pl.DataFrame({"text": [f"text {n}" for n in range(50)], "label": [n % 2 for n in range(50)]}).write_parquet(path)
    whole = path.read_bytes()
    for _ in range(60):
        cut = put(tmp_path, "cut.parquet", whole[: chance.randrange(1, len(whole))])
        with pytest.raises(Refusal, match=r"cut\.parquet must be a whole Parquet file"):
            read_table(cut)


def test_parquet_values_come_out_as_text_with_nulls_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame(
        {"text": ["a", None], "i": [0, 1], "b": [True, None], "list": [[1], [2]], "bytes": [b"\xff", b"a"]}
    ).write_parquet(path)
    assert read_table(path).rows() == [("a", "0", "true", "[1]", "\ufffd"), (None, "1", None, "[2]", "a")]


def test_numbers_in_json_stay_as_they_are_written(tmp_path: Path) -> None:
    path = put(tmp_path, "t.jsonl", '{"text": "a", "label": 1.0}\n\n{"text": "b", "label": 1e3, "more": true}\n')
    assert read_table(path).rows() == [("a", "1.0", None), ("b", "1e3", "true")]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("sep=;\ntext;label\na, b;c\n", [("a, b", "c")]),
        ("text,label,,\na,b,,\n", [("a", "b")]),
        (" text , label\na,b\n\nc,d", [("a", "b"), ("c", "d")]),
        ("text,label\ra,b\rc,d\r", [("a", "b"), ("c", "d")]),
        ('text,label\n5" disk,b\n', [('5" disk', "b")]),
        ('text,label\n"",b\n', [(None, "b")]),
    ],
    ids=["Excel's sep=", "empty columns at the end", "space and blank lines", "old Mac", "inches", "empty"],
)
def test_harmless_oddities_are_read(tmp_path: Path, content: str, rows: list[tuple[str, str]]) -> None:
    frame = read_table(put(tmp_path, "t.csv", content))
    assert frame.columns == ["text", "label"]
    assert frame.rows() == rows


def test_a_cell_of_ten_megabytes_is_read(tmp_path: Path) -> None:
    frame = read_table(put(tmp_path, "t.csv", f"text,label\n{'x' * 10_000_000},a\nok,b\n"))
    assert frame["text"].str.len_chars().to_list() == [10_000_000, 2]


def test_a_glob_is_one_table_whatever_form_each_file_has(tmp_path: Path) -> None:
    put(tmp_path, "1.csv", "text;label\nun café;a\n".encode("cp1252"))
    put(tmp_path, "2.jsonl", '{"label": "b", "text": "two"}\n')
    pl.DataFrame({"text": ["three"], "label": ["c"]}).write_parquet(tmp_path / "3.parquet")
    understood = read(tmp_path / "*")
    assert understood.frame.rows() == [("un café", "a"), ("two", "b"), ("three", "c")]
    assert len(understood.forms) == len(understood.files) == 3


BAD: dict[str, tuple[str, bytes | str, str]] = {
    "empty file": ("t.csv", "", "t.csv: an empty file"),
    "blank lines alone": ("t.csv", "\n\n", "an empty file"),
    "header only": ("t.csv", "text,label\n", "a header and no rows"),
    "NUL byte": ("t.csv", "text,label\na,b\nc\0,d\n", "a NUL byte on line 3"),
    "NUL byte after a mark": ("t.csv", "\ufefftext,label\na,b\nc\0,d\n", "a NUL byte on line 3"),
    "UTF-16 without its mark": ("t.csv", "text,label\na,b\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
    "UTF-16 cut short": ("t.csv", "text,label\na,b\n".encode("utf-16")[:-1], "the mark of UTF-16"),
    "random bytes": ("t.csv", random.Random(1).randbytes(5000), "binary data"),
    "random bytes without NUL": ("t.csv", random.Random(1).randbytes(5000).replace(b"\0", b""), "fit none of them"),
    "Latin-1 within UTF-8": ("t.csv", "text,label\ncafé,a\n".encode() + "naïve,b\n".encode("cp1252"), "line 3"),
    "Latin-1 within GB18030": (
        "t.csv", table(CHINESE * 3, "gb18030") + "9,né,b\n".encode("cp1252"), "GB18030, but not on line 14",
    ),
    "a word that two encodings have": (
        "t.csv", "text,label\n東京大学,a\n".encode("shift-jis"), "Shift-JIS or EUC-KR: too few to tell which",
    ),
    "Korean, damaged": (
        "t.csv", ("text,label\n" + "이 영화는 정말 재미있다,예\n" * 20).encode("euc-kr") + b"\xff\xff,a\n",
        "EUC-KR, but not on line 22",
    ),
    "Thai in its old encoding": (
        "t.csv", ("text,label\n" + "ภาพยนตร์เรื่องนี้ยอดเยี่ยมมาก,a\n" * 20).encode("cp874"), "fit none of them",
    ),
    "a quote that stays open": ("t.csv", 'text,label\na,b\n"c,d\ne,f\n', "line 3 opens a quote that no line closes"),
    "a quote closed by another's": ("t.csv", 'text,label\n"c,d\n"e, f",g\n', "line 2 opens a quote"),
    "a quote within quotes": ("t.csv", 'text,label\n"say "hi" now",d\n', "line 2 has text between a closing quote"),
    "a row too long": ("t.csv", 'text,label\n"a\nb",c\nd,e,f\n', "line 4: 3 fields"),
    "a row too short": ("t.csv", "text,label\na,b\nc\n", "line 3: 1 field"),
    "a name twice": ("t.csv", "text,label,text\na,b,c\n", "'text' more than once"),
    "a column without a name": ("t.csv", ",text,label\n0,a,b\n", "none for column 1"),
    "unknown kind": ("t.docx", "text", "t.docx"),
    "a workbook": ("t.xlsx", b"PK\x03\x04", "Save the sheet as CSV"),
    "a workbook named CSV": ("t.csv", b"PK\x03\x04\x14\0", "an Excel workbook"),
    "a compressed table": ("t.csv.gz", b"\x1f\x8b", "Unpack it"),
    "damaged JSON": ("t.jsonl", '{"text": "a"}\n{"text": "b\n', "line 2: "),
    "damaged JSON array": ("t.json", '[{"text": "a"},\n{"text": }]', "line 2: Expecting value"),
    "JSON that is no object": ("t.jsonl", '{"text": "a"}\n3\n', "line 2: a bare value"),
    "JSON without end": ("t.jsonl", "[" * 100_000, "without end"),
    "no records": ("t.jsonl", "\n", "must hold records"),
    "damaged Parquet": ("t.parquet", b"PAR1 but no more", "t.parquet must be a whole Parquet file"),
}  # fmt: skip


OLD = {
    "shift-jis": JAPANESE, "euc-jp": JAPANESE, "euc-kr": KOREAN, "big5": TRADITIONAL, "gb18030": CHINESE,
    "cp1251": RUSSIAN, "koi8-r": RUSSIAN, "cp1253": GREEK, "cp1255": HEBREW, "cp1256": ARABIC,
}  # fmt: skip


@pytest.mark.parametrize("rows", [4, 400])
@pytest.mark.parametrize("encoding", OLD)
def test_a_table_in_an_old_encoding_is_read_and_called_a_guess(tmp_path: Path, encoding: str, rows: int) -> None:
    said = [OLD[encoding][row % len(OLD[encoding])] for row in range(rows)]
    reading = read(put(tmp_path, "t.csv", table(said, encoding)))
    assert reading.forms[0].startswith(ENCODINGS[encoding][0])
    assert reading.frame["text"].to_list() == [text for text, _ in said]


def test_damage_in_an_old_encoding_is_named_by_its_line(tmp_path: Path) -> None:
    said = [("這部電影非常精彩，我想再看一次。", "good"), ("送貨很慢，包裝也很差。", "bad")] * 4000
    path = put(tmp_path, "t.csv", table(said, "big5") + b"9,\xff\xff,good\r\n")
    with pytest.raises(Refusal, match="Big5, but not on line 8002"):
        read(path)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_by_what_is_wrong_with_it(tmp_path: Path, name: str) -> None:
    file, content, said = BAD[name]
    with pytest.raises(Refusal) as refused:
        read(put(tmp_path, file, content))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_not_there_and_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no such file"):
        read(tmp_path / "absent-*.csv")
    with pytest.raises(Refusal, match="the folder"):
        read(tmp_path)


def test_what_may_not_be_read_is_refused(tmp_path: Path) -> None:
    """As the superuser may read everything, the test is nobody meanwhile."""
    path = put(tmp_path, "t.csv", "text,label\na,b\n")
    path.chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(Refusal, match="Permission denied"):
            read(path)
    finally:
        os.seteuid(before)
    with pytest.raises(Refusal, match="File name too long"):
        read("x" * 5000 + ".csv")


def test_files_of_a_glob_with_other_columns_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "1.csv", "text,label\na,b\n")
    put(tmp_path, "2.csv", "text,class\na,b\n")
    with pytest.raises(Refusal, match=r"2\.csv lacks label; adds class"):
        read(tmp_path / "*.csv")


def test_a_synopsis_says_what_was_understood_in_lines_that_a_terminal_can_show() -> None:
    table = queue_table(body=[f"Texts \x1b[31m of 好 {n % 30}\n" + "x" * 100 for n in range(60)])
    nothing = pl.DataFrame()
    reading = Reading(table, nothing, nothing, (Path("t.csv"),), ("UTF-8, fields between commas",))
    lines = synopsis(reading, Columns(text="body", label="queue"), CLASSIFY)
    said = "\n".join(lines)
    assert "Read t.csv: 60 rows, 3 columns; UTF-8, fields between commas." in said
    assert "text from 'body', label from 'queue'. Left out: id." in said
    assert "Classes: 3 (q0 20, q1 20, q2 20)." in said
    assert "50.0% are copies" in said
    assert "language: " in said
    assert [len(line.strip()) for line in lines[-2:]] == [70, 70]
    assert all(line.isprintable() for line in lines)
