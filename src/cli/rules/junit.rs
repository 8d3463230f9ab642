//! The outcome of `rules test` as JUnit XML, which Jenkins, GitLab and GitHub read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite, XmlString};

use crate::alert::escape;
use crate::{Error, Result};

/// One suite for each rule, one case for each of its cases.
pub(super) struct Junit {
    path: PathBuf,
    out: BufWriter<File>,
    suites: Vec<TestSuite>,
}

impl Junit {
    /// Opens the file: that it cannot be written is told before the tests run.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| unwritable(path, error.to_string()))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), suites: Vec::new() })
    }

    /// What follows belongs to this rule.
    pub(super) fn rule(&mut self, rule: &str) {
        self.suites.push(TestSuite::new(clean(rule)));
    }

    /// A case that was run; it has passed when nothing differs.
    pub(super) fn case(
        &mut self,
        name: &str,
        path: &str,
        took: Duration,
        kind: NonSuccessKind,
        differences: &[String],
    ) {
        let status = match differences.first() {
            None => TestCaseStatus::success(),
            Some(first) => bad(kind, first, &differences.join("\n")),
        };
        self.add(name, Some(path), took, status);
    }

    /// A case that should be there, or a rule that should run.
    pub(super) fn lacking(&mut self, name: &str, kind: NonSuccessKind, why: &str) {
        let first = why.lines().next().unwrap_or_default();
        self.add(name, None, Duration::ZERO, bad(kind, first, why));
    }

    fn add(&mut self, name: &str, path: Option<&str>, took: Duration, status: TestCaseStatus) {
        let Some(suite) = self.suites.last_mut() else { return };
        let mut case = TestCase::new(clean(name), status);
        case.set_classname(suite.name.as_str()).set_time(took);
        if let Some(path) = path {
            case.extra.insert("file".into(), clean(path));
        }
        suite.set_time(suite.time.unwrap_or_default() + took);
        suite.add_test_case(case);
    }

    /// Writes the file.
    pub(super) fn finish(mut self) -> Result<()> {
        let mut report = Report::new("nightlatch rules test");
        report.set_time(self.suites.iter().filter_map(|suite| suite.time).sum());
        report.add_test_suites(std::mem::take(&mut self.suites));
        let failed = |error: String| unwritable(&self.path, error);
        report.serialize(&mut self.out).map_err(|error| failed(error.to_string()))?;
        self.out.flush().map_err(|error| failed(error.to_string()))
    }
}

fn bad(kind: NonSuccessKind, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(clean(message.trim())).set_description(clean(text));
    status
}

/// Text in which nothing is left that XML 1.0 cannot hold, with its lines as they are.
fn clean(text: &str) -> XmlString {
    let lines: Vec<_> = text.lines().map(escape).collect();
    XmlString::new(lines.join("\n").replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
}

fn unwritable(path: &Path, why: String) -> Error {
    Error::unavailable("cannot write the JUnit file").at(path.display().to_string()).detail(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_gives_xml_that_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odd.xml");
        let odd = "a\"b<c>&'d]]>\u{0}\u{1b}[31m\u{ffff}\u{202e}é\n\n  <!-- x";
        let mut junit = Junit::create(&path).unwrap();
        junit.rule(odd);
        let differences = [odd.to_owned(), "- expected {\"a\":1}".to_owned()];
        let failure = NonSuccessKind::Failure;
        junit.case(odd, odd, Duration::from_millis(1500), failure, &differences);
        junit.case("good", "good.jsonl", Duration::ZERO, failure, &[]);
        junit.lacking("evasion_*", NonSuccessKind::Error, "no such case");
        junit.finish().unwrap();
        let report =
            Report::deserialize_from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!((report.tests, report.failures, report.errors), (3, 1, 1));
        let suite = &report.test_suites[0];
        assert_eq!(suite.time, Some(Duration::from_millis(1500)));
        let TestCaseStatus::NonSuccess { description, .. } = &suite.test_cases[0].status else {
            panic!("failed cases are failed");
        };
        let text = description.as_ref().unwrap().as_str();
        assert!(text.contains("a\"b<c>&'d]]>\\u{0}\\u{1b}[31m\u{fffd}\\u{202e}é\n"), "{text}");
        assert!(text.ends_with("<!-- x\n- expected {\"a\":1}"), "{text}");
    }
}
