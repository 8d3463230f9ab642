//! A rule must fire because of its thresholds: with one of them moved out of reach, an attack of its
//! cases is missed.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, SetExpr, Spanned, Value, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use nightlatch::rules::Rule;

use super::{nightlatch, queries, rules};

/// A number that a column is compared with: its place in the SQL, 1-based line and column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Threshold {
    line: u64,
    column: u64,
    text: String,
}

fn is_comparison(operator: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq};
    matches!(operator, Gt | GtEq | Lt | LtEq | Eq)
}

fn number(expr: &Expr) -> Option<Threshold> {
    let Expr::Value(value) = expr else { return None };
    let Value::Number(text, _) = &value.value else { return None };
    let start = expr.span().start;
    Some(Threshold { line: start.line, column: start.column, text: text.to_string() })
}

/// The thresholds of every QUALIFY of a query.
fn thresholds(sql: &str) -> Vec<Threshold> {
    let statements = Parser::parse_sql(&GenericDialect {}, sql).expect("the rule parses");
    let mut found = Vec::new();
    let mut take = |qualify: &Expr| {
        let _ = visit_expressions(qualify, |expr| {
            if let Expr::BinaryOp { left, op, right } = expr
                && is_comparison(op)
            {
                found.extend(number(left).into_iter().chain(number(right)));
            }
            ControlFlow::<()>::Continue(())
        });
    };
    let _ = datafusion::sql::sqlparser::ast::visit_statements(&statements, |statement| {
        if let datafusion::sql::sqlparser::ast::Statement::Query(query) = statement {
            qualifies(query, &mut take);
        }
        ControlFlow::<()>::Continue(())
    });
    found.sort();
    found.dedup();
    found
}

fn qualifies(query: &Query, take: &mut impl FnMut(&Expr)) {
    for table in query.with.iter().flat_map(|with| &with.cte_tables) {
        qualifies(&table.query, take);
    }
    if let SetExpr::Select(select) = query.body.as_ref() {
        select.qualify.iter().for_each(take);
    }
}

/// The rule's file with one threshold replaced.
fn mutated(file: &str, threshold: &Threshold, by: &str) -> String {
    let lines = file.split_inclusive('\n').take(threshold.line as usize - 1);
    let line_start = lines.map(str::len).sum::<usize>();
    let column: usize =
        file[line_start..].chars().take(threshold.column as usize - 1).map(char::len_utf8).sum();
    let start = line_start + column;
    assert!(file[start..].starts_with(&threshold.text), "{threshold:?} is not at its place");
    format!("{}{by}{}", &file[..start], &file[start + threshold.text.len()..])
}

/// Whether an attack of the rule's cases is missed with this file in the place of the rule's.
fn misses_an_attack(folder: &Path, rule: &Rule, file: &str) -> bool {
    fs::write(folder.join(format!("{}.sql", rule.id)), file).expect("a file can be written");
    let output = nightlatch(&["rules", "test", &rule.id, "--rules", &folder.to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = |kind: &str| said.contains(&format!("FAILED {}/{kind}_", rule.id));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {said}{err}", rule.id);
    failed("attack") || failed("evasion")
}

fn copy_cases(rule: &Rule, folder: &Path) {
    let (from, to) = (queries().join("tests").join(&rule.id), folder.join("tests").join(&rule.id));
    fs::create_dir_all(&to).expect("a folder");
    for entry in fs::read_dir(&from).expect("cases") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn every_threshold_decides_an_attack() {
    let mut idle = Vec::new();
    let mut n_thresholds = 0;
    for rule in rules() {
        let folder = tempfile::tempdir().expect("a folder");
        copy_cases(&rule, folder.path());
        assert!(!misses_an_attack(folder.path(), &rule, &rule.sql), "{} as it is", rule.id);
        for threshold in thresholds(&rule.sql) {
            n_thresholds += 1;
            let moved =
                |by| misses_an_attack(folder.path(), &rule, &mutated(&rule.sql, &threshold, by));
            // Which way is out of reach depends on the comparison, and on a NOT around it.
            if !moved("1000000000") && !moved("-1000000000") {
                let Threshold { line, column, text } = threshold;
                idle.push(format!("{}: {text} at {line}:{column}", rule.id));
            }
        }
    }
    assert!(n_thresholds >= 30, "only {n_thresholds} thresholds were found");
    assert!(idle.is_empty(), "no attack depends on these thresholds:\n{}", idle.join("\n"));
}
