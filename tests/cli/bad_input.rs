//! Records and files that are not what they should be: each is told, and the stream goes on.

use super::*;

#[test]
fn bad_records_are_told_and_counted_and_the_stream_goes_on() {
    let folder = folder();
    let long = format!("{}\n", "x".repeat(2 << 20));
    // Content before one sound record, and what standard error says.
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("empty line", b"", &["events        1 "]),
        ("NUL byte", b"{\"a\":\"\0\"}\n", &["x.jsonl:1: NUL byte at byte 7 (nul_byte)"]),
        ("no UTF-8", b"{\"a\":\"\xc3\x28\"}\n", &["x.jsonl:1: not UTF-8 at byte 7 (invalid_utf8)"]),
        ("UTF-16", b"\xff\xfe{\0\n", &["rejected      1 (nul_byte 1)"]),
        ("array", b"[]\n", &["expected a JSON object, got an array (not_an_object)"]),
        ("number", b"1\n", &["got a number (not_an_object)"]),
        ("null", b"null\n", &["got null (not_an_object)"]),
        ("string", b"\"x\"\n", &["got a string (not_an_object)"]),
        ("half an object", b"{\n", &["x.jsonl:1:", "(invalid_json)"]),
        ("no JSON", b"hello\n", &["(invalid_json)"]),
        ("empty object", b"{}\n", &["required field `time` is missing or null (missing_field)"]),
        (
            "number as string",
            b"{\"time\":1772366400,\"action\":\"login\",\"account\":\"a\",\"latitude\":\"52.5\"}\n",
            &["field `latitude`: expected a number, got a string (wrong_type)", "without quotes"],
        ),
        (
            "string as number",
            b"{\"time\":1772366400,\"action\":\"login\",\"account\":5}\n",
            &["field `account`: expected a string, got a number (wrong_type)", "hint: write"],
        ),
        (
            "time as text of a number",
            b"{\"time\":\"1772366400\",\"action\":\"login\",\"account\":\"a\"}\n",
            &["field `time`: cannot read `1772366400` as a time (invalid_time)", "hint: RFC 3339"],
        ),
        (
            "year 10000",
            b"{\"time\":\"10000-01-01T00:00:00Z\",\"action\":\"login\",\"account\":\"a\"}\n",
            &["(invalid_time)", "years 0001 to 9999"],
        ),
        (
            "year 0001",
            b"{\"time\":\"0001-01-01T00:00:00Z\",\"action\":\"login\",\"account\":\"a\"}\n",
            &["events        2 "],
        ),
        (
            "year 9999",
            b"{\"time\":\"9999-12-31T23:59:59Z\",\"action\":\"login\",\"account\":\"a\"}\n",
            &["events        2 ", "future        1"],
        ),
        (
            "key twice",
            b"{\"time\":1772366400,\"time\":1,\"action\":\"login\",\"account\":\"a\"}\n",
            &["field `time` comes twice (duplicate_field)"],
        ),
        (
            "unknown action",
            b"{\"time\":1772366400,\"action\":\"dance\",\"account\":\"a\"}\n",
            &["events        2 "],
        ),
        (
            "misspelt field",
            b"{\"time\":1772366400,\"action\":\"login\",\"account\":\"a\",\"devcie\":\"b\"}\n",
            &["field `devcie` is ignored: did you mean `device`?"],
        ),
        ("long record", long.as_bytes(), &["(record_too_long)", "raise input.record_bytes_max"]),
    ];
    for (name, before, expected) in cases {
        write(folder.path(), "x.jsonl", [before, GOOD.as_bytes(), b"\n"].concat());
        let ran = run(folder.path(), &["replay", "x.jsonl", "--rules", "rules"]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        let good = ran.err.contains("events        1 ") || ran.err.contains("events        2 ");
        assert!(good, "{name}: the sound record was lost: {}", ran.err);
        for text in *expected {
            assert!(ran.err.contains(text), "{name}: no {text:?} in {}", ran.err);
        }
    }
}

#[test]
fn a_line_of_100_megabytes_is_one_bad_record() {
    let folder = folder();
    let arguments = ["replay", "-", "--rules", "rules"];
    let mut child = program(folder.path(), &arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let piece = vec![b'x'; 1 << 20];
    (0..100).for_each(|_| stdin.write_all(&piece).unwrap());
    writeln!(stdin, "\n{GOOD}").unwrap();
    drop(stdin);
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("-:1: record of 104857600 bytes is longer than"), "{}", ran.err);
    assert!(ran.err.contains("events        1 "), "{}", ran.err);
}

#[test]
fn bad_files_are_told() {
    let folder = folder();
    let whole = gzip(failures("192.0.2.1", 2_000).as_bytes());
    write(folder.path(), "cut.jsonl.gz", &whole[..whole.len() / 2]);
    write(folder.path(), "broken.gz", b"\x1f\x8bthis is no gzip");
    write(folder.path(), "empty.jsonl", "");
    write(folder.path(), "empty.gz", gzip(b""));
    write(folder.path(), "x.zip", b"PK\x03\x04....");
    write(folder.path(), "x.jsonl", GOOD);
    let cases: &[(&str, i32, &[&str])] = &[
        ("empty.jsonl", 0, &["events        0 ", "alerts        0"]),
        ("empty.gz", 0, &["events        0 "]),
        ("rules", 64, &["error: rules: is a directory, not a log file\n  hint: name the files"]),
        ("missing.jsonl", 64, &["error: missing.jsonl: no such file", "hint: check the path"]),
        ("x.jsonl/b", 64, &["error: x.jsonl/b: file cannot be opened", "detail: ", "hint: "]),
        ("broken.gz", 0, &["broken.gz:1: input breaks off here", "(source_error)"]),
        ("cut.jsonl.gz", 0, &["input breaks off here", "rejected      1 (source_error 1)"]),
        ("x.zip", 64, &["error: x.zip: zip files cannot be read", "hint: unpack it first"]),
    ];
    for (file, code, expected) in cases {
        let ran = run(folder.path(), &["replay", file, "--rules", "rules"]);
        assert_eq!(ran.code, *code, "{file}: {}", ran.err);
        for text in *expected {
            assert!(ran.err.contains(text), "{file}: no {text:?} in {}", ran.err);
        }
    }
    let cut = run(folder.path(), &["replay", "cut.jsonl.gz", "--rules", "rules"]);
    assert!(!cut.out.is_empty(), "what stands before the break is not lost");
}

#[test]
fn a_file_that_may_not_be_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let path = write(folder.path(), "secret.jsonl", GOOD);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // For root no file is forbidden: the same answer comes from the system for other reasons only.
    let forbidden = fs::File::open(&path).is_err();
    let ran = run(folder.path(), &["replay", "secret.jsonl", "--rules", "rules"]);
    let expected = if forbidden { (64, "secret.jsonl: no permission") } else { (0, "events") };
    assert_eq!(ran.code, expected.0, "{}", ran.err);
    assert!(ran.err.contains(expected.1), "{}", ran.err);
}
