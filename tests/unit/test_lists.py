"""Lists: CSV and JSON Lines, row by row, with a reason and a line for each row that cannot be used."""

from __future__ import annotations

import unicodedata

import pytest

from regraft.data.sources import lists, readers
from regraft.data.sources.readers import Source
from regraft.errors import InvalidError, NotFoundError
from regraft.records import Refused
from regraft.store.zips import stored


@pytest.fixture
def write(tmp_path):
    """Write a list beside some files: `write("list.csv", "path,label\\n...", "a.png", "sub/b.png")`."""

    def make(name, content, *files):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(file.encode())
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def test_a_list_says_path_label_split_and_group_and_the_rest_is_metadata(write):
    path = write(
        "list.csv",
        "path,label,split,group,camera,note\n"
        "sub/a.png,cat,train,farm 1,X100,\n"
        'b.png,dog,Validation,,"X, 200","said ""no""\nand left"\n',
        "sub/a.png",
        "b.png",
    )

    listing = readers.read(path)

    assert described(listing) == [
        ("sub/a.png", "cat", "train", "farm 1", '{"camera":"X100","note":""}'),
        ("b.png", "dog", "val", "", '{"camera":"X, 200","note":"said \\"no\\"\\nand left"}'),
    ]
    assert [entry.read() for entry in listing.entries] == [b"sub/a.png", b"b.png"]
    assert (listing.reader, listing.refused) == ("csv", [])


@pytest.mark.parametrize(
    "content",
    [
        "path;label\na.png;cat\nb.png;dog\n",
        "path\tlabel\na.png\tcat\nb.png\tdog\n",
        "\ufeffpath,label\r\na.png,cat\r\nb.png,dog\r\n",
        "File_Name , Class\n a.png , cat\n\nb.png,dog",
        "label;IMAGE\ncat;a.png\n;\ndog;b.png",
        '"path","label"\n"a.png","cat"\n"b.png","dog"\n',
        "\n\nfilename,target\n./a.png,cat\n.\\b.png,dog\n",
    ],
)
def test_lists_come_in_many_forms(write, content):
    path = write("list.csv", content, "a.png", "b.png")

    listing = readers.read(path)

    assert [(entry.key, entry.label) for entry in listing.entries] == [("a.png", "cat"), ("b.png", "dog")]
    assert listing.refused == []


@pytest.mark.parametrize("name", ["list.tsv", "list.txt", "list", "list.dat"])
def test_the_content_says_that_it_is_a_list(write, name):
    csv = write(name, "path,label\na.png,cat\n", "a.png")

    assert readers.read(csv).reader == "csv"
    csv.write_text('{"path": "a.png", "label": "cat"}\n')
    assert readers.read(csv, Source(reader="jsonl")).reader == "jsonl"


def test_columns_can_be_named(write):
    path = write("list.csv", "id,Where,what,label\n1,a.png,cat,x\n2,b.png,dog,y\n", "a.png", "b.png")

    listing = readers.read(path, Source(columns={"path": "where", "label": "what", "group": "id"}))

    assert described(listing) == [
        ("a.png", "cat", "", "1", '{"label":"x"}'),
        ("b.png", "dog", "", "2", '{"label":"y"}'),
    ]


@pytest.mark.parametrize(
    ("header", "columns", "message", "hint"),
    [
        (
            "picture,label",
            {},
            "The list {path!r} has no column for the pictures' paths.",
            "Name it 'path', or say which it is with --column path=NAME. There are: 'picture', 'label'.",
        ),
        (
            "path,species",
            {},
            "The list {path!r} has no column for the labels.",
            "Name it 'label', or say which it is with --column label=NAME. There are: 'path', 'species'.",
        ),
        (
            "path,label",
            {"group": "lable"},
            "The list {path!r} has no column 'lable'.",
            "Did you mean 'label'?",
        ),
        ("path,label", {"pth": "path"}, "'pth' is none of the words for a column.", "Did you mean 'path'?"),
        ("path,label,note,note", {}, "The list {path!r} has two columns 'note'.", "Rename one of them."),
    ],
)
def test_a_list_without_the_columns_is_refused_with_those_it_has(write, header, columns, message, hint):
    path = write("list.csv", f"{header}\na.png,cat,1,2\n", "a.png")

    with pytest.raises(InvalidError) as caught:
        readers.read(path, Source(columns=columns))

    assert (str(caught.value), caught.value.hint) == (message.format(path=str(path)), hint)


def test_rows_that_cannot_be_used_are_refused_with_their_line(write):
    path = write(
        "list.csv",
        'path,label,split\na.png,cat,train\nmissing.png,cat,test\nb.png,,test\nb.png,dog,later\n"",cat,test\n'
        "b.png,dog\nsub,cat,test\n../b.png,cat,test\n/etc/passwd,cat,test\na\0.png,cat,test\nb.png,dog,test\n",
        "a.png",
        "b.png",
        "sub/c.png",
    )
    outside = "outside the list's folder: give its folder with --root"

    listing = readers.read(path)

    assert [entry.key for entry in listing.entries] == ["a.png", "b.png"]
    assert [item.reason for item in listing.refused] == [
        "line 3: there is no such file below the list's folder, or --root",
        "line 4: no label",
        "line 5: unknown split 'later': write train, val or test",
        "line 6: no path",
        "line 7: 2 cells, but the header has 3",
        "line 8: not a file",
        f"line 9: {outside}",
        f"line 10: {outside}",
        "line 11: 'a\\x00.png' is no path",
    ]
    assert listing.refused[0].key == "missing.png"


def test_a_link_out_of_the_root_is_refused_and_one_inside_is_followed(write, tmp_path):
    path = write(
        "in/list.csv", "path,label\nnear.png,a\nfar.png,b\nfolder/x.png,c\n", "in/a.png", "out/x.png"
    )
    (tmp_path / "in" / "near.png").symlink_to("a.png")
    (tmp_path / "in" / "far.png").symlink_to(tmp_path / "out" / "x.png")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out", target_is_directory=True)

    listing = readers.read(path)

    assert [entry.key for entry in listing.entries] == ["near.png"]
    reason = "outside the list's folder: give its folder with --root"
    assert [item.reason for item in listing.refused] == [f"line 3: {reason}", f"line 4: {reason}"]


def test_paths_are_relative_to_the_root_and_absolute_ones_may_lie_in_it(write, tmp_path):
    content = f"path,label\na.png,cat\n{tmp_path}/photos/b.png,dog\n"
    path = write("list.csv", content, "photos/a.png", "photos/b.png")

    listing = readers.read(path, Source(root=tmp_path / "photos"))

    assert [(entry.key, entry.read()) for entry in listing.entries] == [
        ("a.png", b"photos/a.png"),
        ("b.png", b"photos/b.png"),
    ]


def test_a_root_that_is_not_there_is_refused(write, tmp_path):
    path = write("list.csv", "path,label\na.png,cat\n", "a.png")

    with pytest.raises(NotFoundError) as caught:
        readers.read(path, Source(root=tmp_path / "nowhere"))

    assert str(caught.value) == f"There is no folder {str(tmp_path / 'nowhere')!r}."


def test_a_path_is_found_however_the_disk_composes_letters(write):
    decomposed = unicodedata.normalize("NFD", "Äpfel/ü.png")
    path = write("list.csv", "path,label\nÄpfel/ü.png,cat\n", decomposed)

    listing = readers.read(path)

    assert [(entry.key, entry.read()) for entry in listing.entries] == [("Äpfel/ü.png", decomposed.encode())]


def test_a_repeated_row_is_refused_and_two_that_disagree_both_are(write):
    path = write(
        "list.csv",
        "path,label\na.png,cat\nb.png,cat\n./a.png,cat\nb.png,dog\nc.png,cat\n",
        "a.png",
        "b.png",
        "c.png",
    )

    listing = readers.read(path)

    words = "line 3 says 'cat', line 5 says 'dog'"
    assert [entry.key for entry in listing.entries] == ["a.png", "c.png"]
    assert listing.refused == [
        Refused(key="a.png", reason="line 4: repeats line 2", label="cat"),
        Refused(key="b.png", reason=f"line 3: {words}", label="cat"),
        Refused(key="b.png", reason=f"line 5: {words}", label="dog"),
    ]


def test_a_column_of_keys_is_taken_and_metadata_of_our_own_is_unpacked(write):
    path = write(
        "list.csv",
        'key,path,label,metadata\ntrain/x.png,a.png,cat,"{""b"":[1],""a"":null}"\n,b.png,dog,not JSON\n',
        "a.png",
        "b.png",
    )

    listing = readers.read(path)

    assert described(listing) == [
        ("train/x.png", "cat", "", "", '{"a":null,"b":[1]}'),
        ("b.png", "dog", "", "", '{"metadata":"not JSON"}'),
    ]


def test_where_every_row_says_train_nothing_is_held_out_yet(write):
    path = write("list.csv", "path,label,split\na.png,cat,train\nb.png,dog,Training\n", "a.png", "b.png")

    listing = readers.read(path)

    assert [entry.split for entry in listing.entries] == ["", ""]


def test_there_may_be_a_column_for_each_class(write):
    path = write(
        "list.csv",
        "image,MEL,NV,age,split\na.png,1.0,0.0,40,train\nb.png,0,1,0,test\nc.png,0,0,1,test\nd.png,1,1,1,test\n",
        *("a.png", "b.png", "c.png", "d.png"),
    )

    listing = readers.read(path)

    assert described(listing) == [
        ("a.png", "MEL", "train", "", '{"age":"40"}'),
        ("b.png", "NV", "test", "", '{"age":"0"}'),
    ]
    assert [item.reason for item in listing.refused] == [
        "line 4: a 1 in 0 of the columns for classes, not in one",
        "line 5: a 1 in 2 of the columns for classes, not in one",
    ]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"path,label\na.png,caf\xe9\n", 2, "it is not UTF-8"),
        (b'path,label\na.png,cat\n"b.png,dog\n', 3, "unexpected end of data"),
        (b'path,label\n"a"b,cat\n', 2, "',' expected after '\"'"),
        (b"path,label\na.png," + b"x" * 200_000 + b"\n", 2, "field larger than field limit (131072)"),
        (b"path,label\na.png," + b"x" * 10_000_000 + b"\n", 2, "longer than 1,048,576 bytes"),
    ],
)
def test_a_list_that_is_no_csv_is_refused_with_the_line(write, content, line, words):
    path = write("list.csv", content, "a.png")

    with pytest.raises(InvalidError) as caught:
        readers.read(path)

    assert str(caught.value) == f"Line {line} of {str(path)!r} cannot be read: {words}."
    assert caught.value.where == f"line {line}"


@pytest.mark.parametrize("content", ["path,label\n", "path,label\n,\n"])
def test_a_list_without_rows_is_refused(write, content):
    path = write("list.csv", content)

    with pytest.raises(InvalidError) as caught:
        readers.read(path)

    assert str(caught.value) == f"The list {str(path)!r} has no rows."


def test_too_many_rows_are_refused(write, monkeypatch):
    monkeypatch.setattr(lists, "MAX_ROWS", 1)
    path = write("list.csv", "path,label\na.png,cat\nb.png,cat\n", "a.png", "b.png")

    with pytest.raises(InvalidError) as caught:
        readers.read(path)

    assert str(caught.value) == f"Line 3 of {str(path)!r} cannot be read: there are more than 1 rows."


def test_json_lines_keep_what_they_say(write):
    path = write(
        "list.jsonl",
        '{"path":"a.png","label":3,"split":"train","z":[1,{"ü":null}],"b":true}\n\n'
        '{"file":"b.png","class":3.0,"split":"test","group_id":7}\n'
        '{"path":"c.png","label":true}\n'
        '{"path":"d.png","label":2.5}',
        *("a.png", "b.png", "c.png", "d.png"),
    )

    listing = readers.read(path)

    assert described(listing) == [
        ("a.png", "3", "train", "", '{"b":true,"z":[1,{"ü":null}]}'),
        ("b.png", "3", "test", "7", "{}"),
        ("c.png", "true", "", "", "{}"),
        ("d.png", "2.5", "", "", "{}"),
    ]
    assert (listing.reader, listing.refused) == ("jsonl", [])


def test_json_lines_that_cannot_be_used_are_refused_with_their_line(write):
    path = write(
        "list.jsonl",
        '{"path":"a.png","label":"cat"}\n'
        '{"path":"a.png","label":NaN}\n'
        '{"path":"a.png","label":1e999}\n'
        '{"path":"a.png","label":["cat"]}\n'
        '{"path":"a.png","label":null}\n'
        '{"path":7,"label":"cat"}\n'
        '{"label":"cat"}\n'
        '{"path":"a.png","label":"\\ud800"}\n'
        '{"path":"a.png","label":"cat","more":1e999}\n',
        "a.png",
    )

    listing = readers.read(path)

    assert [entry.key for entry in listing.entries] == ["a.png"]
    assert [item.reason for item in listing.refused] == [
        "line 2: NaN is no value",
        "line 3: inf is no value",
        "line 4: a list in place of a text",
        "line 5: no label",
        "line 6: no path",
        "line 7: no path",
        "line 8: holds half a letter (a lone surrogate)",
        "line 9: its metadata cannot be kept (Out of range float values are not JSON compliant)",
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"path":"a.png",', "it is not JSON (Expecting property name enclosed in double quotes"),
        ('["a.png","cat"]', "it is not a JSON object"),
        ("[" * 100_000, "it is not JSON (maximum recursion depth exceeded"),
        ('{"label":' + "1" * 5000 + "}", "it is not JSON (Exceeds the limit (4300 digits)"),
    ],
)
def test_a_line_that_is_no_json_object_is_refused(write, line, words):
    path = write("list.jsonl", f'{{"path":"a.png","label":"cat"}}\n{line}\n', "a.png")

    with pytest.raises(InvalidError) as caught:
        readers.read(path)

    assert str(caught.value).startswith(f"Line 2 of {str(path)!r} cannot be read: {words}")


@pytest.mark.parametrize("name", ["list.json", "list.jsonl", "list"])
@pytest.mark.parametrize("gap", ["", "\n  "])
def test_a_json_array_is_called_one(write, name, gap):
    path = write(name, f'[{gap}{{"path":"a.png","label":"cat"}}]', "a.png")

    with pytest.raises(InvalidError) as caught:
        readers.read(path, readers.Source(reader="jsonl" if gap and name == "list" else ""))

    assert str(caught.value) == f"{str(path)!r} is a JSON array."
    assert caught.value.hint == "Write one object on each line."


@pytest.mark.parametrize("forced", ["csv", "jsonl"])
def test_an_archive_in_place_of_a_list_is_called_one(tmp_path, forced):
    path = tmp_path / "photos.zip"
    path.write_bytes(b"".join(stored([("cat/0.png", b"a")])))

    with pytest.raises(InvalidError) as caught:
        readers.read(path, readers.Source(reader=forced))

    assert str(caught.value) == f"{str(path)!r} is a zip archive, not a list."
    assert caught.value.hint == "Leave --reader out."


def test_json_lines_without_paths_are_refused_with_the_names_they_have(write):
    path = write("list.jsonl", '{"picture":"a.png","label":"cat"}\n', "a.png")

    with pytest.raises(InvalidError) as caught:
        readers.read(path)
    with pytest.raises(InvalidError) as misspelt:
        readers.read(path, Source(columns={"path": "pictur"}))

    assert str(caught.value) == f"The list {str(path)!r} has no column for the pictures' paths."
    assert str(misspelt.value) == f"The list {str(path)!r} has no column 'pictur'."
    assert misspelt.value.hint == "Did you mean 'picture'?"


def test_a_picture_in_place_of_a_dataset_is_refused(write):
    path = write("a.png", b"\x89PNG\r\n\x1a\n\0\0\0")

    with pytest.raises(InvalidError) as caught:
        readers.read(path)

    assert str(caught.value) == f"{str(path)!r} is a file, not a folder."
    assert caught.value.hint == (
        "Give a folder of class folders, a zip or tar of one, a list (CSV or JSON Lines), or Parquet."
    )


def described(listing):
    return [(entry.key, entry.label, entry.split, entry.group, entry.metadata) for entry in listing.entries]
