#!/usr/bin/env python3
"""The manual pages against the programs: test_man.py NOROSHID NOROSHI-FSCK NOROSHI-BENCH PAGE...

Every page passes mandoc's lint; noroshi.conf(5) and the daemon's own table name the same stanzas and options, in the same
order, with the same type, range, default and need of a restart; noroshid(8), noroshi-fsck(8) and noroshi-bench(1)
have every option and exit status of their command lines.
That noroshi(1) has every command and option is tested with the command line.
"""
import pathlib
import re
import shutil
import subprocess
import sys

def out(*cmd):
    return subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def table(noroshid):
    """{stanza: {option: what is said of it}} by the program."""
    rows, stanza, name = {}, None, None
    lines = iter(out(noroshid, "--conf-man").splitlines())
    for line in lines:
        if line.startswith(".SS "):
            stanza = rows.setdefault(line.split()[1], {})
        elif line.startswith(".B "):
            name = line[3:].replace("\\-", "-")
        elif line == ".br":
            stanza[name] = next(lines)
    return rows


def manual(page):
    """The same by the manual page: the last line of each item, after .br, with macros taken away."""
    rows = {}
    for section in re.split(r"^\.Sh ", page.read_text(), flags=re.M)[1:]:
        title, body = section.split("\n", 1)
        if title not in ("NODE", "LIMITS", "LISTEN", "STREAM", "PEER", "SUBSCRIBER"):
            continue
        stanza = rows.setdefault(title.lower(), {})
        assert f"{title.lower()} " in body.split(".Ed")[0], f"{title}: how the stanza is written"
        for item in re.split(r"^\.It Cm ", body, flags=re.M)[1:]:
            name, text = item.split("\n", 1)
            text = re.split(r"^\.(?:El|It|Sh)", text, flags=re.M)[0]
            assert text.count(".br\n") == 1, f"{title.lower()} {name}: one line on its type"
            said = re.sub(r"^\.[A-Z][a-z] ", "", text.split(".br\n")[1], flags=re.M)
            stanza[name] = " ".join(said.split())
    return rows


def plain(number):
    """2M and 2097152 are one number."""
    m = re.fullmatch(r"(\d+)([KMG]?)", number)
    return int(m[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[m[2]]


def case_conf(noroshid, pages):
    want, have = table(noroshid), manual(pages["noroshi.conf.5"])
    assert list(want) == list(have), (list(want), list(have))
    for stanza in want:
        assert list(want[stanza]) == list(have[stanza]), (stanza, list(want[stanza]), list(have[stanza]))
        for name, row in want[stanza].items():
            text, where = have[stanza][name], f"{stanza} {name}: \"{row}\" and \"{have[stanza][name]}\""
            kind = re.match(r"yes or no|[a-z]+", row)[0]
            assert text.lower().startswith(kind), where
            assert ("restart" in row) == ("restart" in text), where
            assert ("required" in row) == ("required" in text), where
            if m := re.search(r"default (\S+)", row.replace(";", " ")):
                assert re.search(rf"default '?{re.escape(m[1])}(?!\w)", text), where
            if m := re.search(r"(\d+) to (\d+)", row):
                n = re.search(r"(\d+[KMG]?) to (\d+[KMG]?)", text)
                assert n and (plain(n[1]), plain(n[2])) == (int(m[1]), int(m[2])), where


def case_options(noroshid, pages):
    page = pages["noroshid.8"].read_text()
    names = re.findall(r"--([a-z-]+)", out(noroshid, "--help"))
    assert len(set(names)) >= 6, names
    for name in names:
        assert f"Fl -{name}" in page, f"no --{name}"


def case_status(noroshid, pages):
    page = pages["noroshid.8"].read_text()
    text = " ".join(out(noroshid, "--help").split("Status:")[1].split("See")[0].split())
    have = re.findall(r"^\.It (\d+)$", page, re.M)
    for status in re.findall(r"\b\d+\b", text):
        assert status in have, f"no exit status {status}"


def case_fsck(noroshid, pages):
    """noroshi-fsck(8): options, exit statuses, and the members of its JSON."""
    page = pages["noroshi-fsck.8"].read_text()
    text = out(FSCK, "--help")
    names = re.findall(r"--([a-z]+)", text)
    assert len(set(names)) >= 6, names
    for name in names:
        assert f"Fl -{name}" in page, f"no --{name}"
    have = re.findall(r"^\.It (\d+)$", page, re.M)
    want = re.findall(r"\b\d+\b", text.split("Exit:")[1])
    assert len(want) == 4 and set(want) == set(have), (want, have)


def case_bench(noroshid, pages):
    """noroshi-bench(1): options, scenarios, exit statuses."""
    page = pages["noroshi-bench.1"].read_text()
    text = out(BENCH, "--help")
    names = re.findall(r"--([a-z]+)", text)
    assert len(set(names)) >= 10, names
    for name in names:
        assert f"Fl -{name}" in page, f"no --{name}"
    scenarios = re.findall(r"^  ([a-z]+) +\S", text.split("scenarios:")[1].split("options:")[0], re.M)
    assert len(scenarios) >= 4, scenarios
    for name in scenarios:
        assert f"Cm {name}\n" in page, f"no scenario {name}"
    have = re.findall(r"^\.It (\d+)$", page, re.M)
    want = re.findall(r"\b\d+(?= )", text.split("Exit:")[1])
    assert len(want) == 5 and set(want) == set(have), (want, have)


def case_lint(noroshid, pages):
    if shutil.which("mandoc") is None:
        print("# mandoc is not installed: the form of the pages is not checked")
        return
    for page in pages.values():
        p = subprocess.run(["mandoc", "-Tlint", page], capture_output=True, text=True)
        # Pages that are not installed here cannot be found.
        found = [x for x in p.stdout.splitlines() if "referenced manual not found" not in x]
        assert found == [], "\n".join(found)


def case_references(noroshid, pages):
    """What a page refers to is another of ours, or one of the system's that we mean."""
    known = {p.replace(".", " ").replace("noroshi conf", "noroshi.conf") for p in pages} | {"systemd 1", "man 7"}
    for page in pages.values():
        for ref in re.findall(r"^\.Xr (\S+ \d)", page.read_text(), re.M):
            assert ref in known, f"{page.name} refers to {ref}"


def main(noroshid, fsck, bench, *paths):
    global FSCK, BENCH
    FSCK, BENCH = fsck, bench
    pages = {pathlib.Path(p).name: pathlib.Path(p) for p in paths}
    cases = [(k, v) for k, v in globals().items() if k.startswith("case_")]
    print(f"1..{len(cases)}")
    bad = 0
    for i, (name, case) in enumerate(cases, 1):
        try:
            case(noroshid, pages)
            print(f"ok {i} - {name[5:]}")
        except AssertionError as e:
            bad += 1
            print(f"not ok {i} - {name[5:]}\n# " + str(e).replace("\n", "\n# "))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
