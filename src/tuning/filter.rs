//! The last filter of a rule, as a tree of conditions: the `WHERE` and the `QUALIFY` of its last query
//! that has any, taken from the parsed SQL.

use datafusion::sql::parser::{DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, Select, SetExpr, Spanned, Statement, TableFactor, UnaryOperator,
    Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::Location;
use std::ops::ControlFlow;

use crate::rules::Rule;
use crate::{Error, Result};

/// Which clause a condition stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    Where,
    Qualify,
}

/// A comparison of two expressions, read from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn of(operator: &BinaryOperator) -> Option<Self> {
        Some(match operator {
            BinaryOperator::Eq => Self::Equal,
            BinaryOperator::NotEq => Self::NotEqual,
            BinaryOperator::Lt => Self::Less,
            BinaryOperator::LtEq => Self::LessOrEqual,
            BinaryOperator::Gt => Self::Greater,
            BinaryOperator::GtEq => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn sql(self) -> BinaryOperator {
        match self {
            Self::Equal => BinaryOperator::Eq,
            Self::NotEqual => BinaryOperator::NotEq,
            Self::Less => BinaryOperator::Lt,
            Self::LessOrEqual => BinaryOperator::LtEq,
            Self::Greater => BinaryOperator::Gt,
            Self::GreaterOrEqual => BinaryOperator::GtEq,
        }
    }

    /// What is true where this is false, NULLs apart.
    fn opposite(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// Both sides of a leaf that compares.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    pub(crate) left: Expr,
    pub(crate) operator: Operator,
    pub(crate) right: Expr,
}

/// A condition without AND, OR and NOT.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) test: Expr,
    pub(crate) clause: Clause,
    /// Line of the rule file.
    pub(crate) line: u64,
    pub(crate) comparison: Option<Comparison>,
}

impl Leaf {
    /// The condition as SQL.
    pub(crate) fn sql(&self) -> String {
        self.test.to_string()
    }
}

/// Conditions by their logic; NOT is inside the leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    /// Index of a [`Leaf`].
    Leaf(usize),
}

/// A number in a comparison, which an author may turn up and down.
#[derive(Debug, Clone)]
pub(crate) struct Threshold {
    /// The leaf it stands in.
    pub(crate) leaf: usize,
    /// Where it stands in the file, which tells it from all others.
    pub(crate) place: Location,
    /// As it is written, its sign included.
    pub(crate) text: String,
    pub(crate) value: f64,
    /// A minus stands before it.
    pub(crate) negative: bool,
    /// It is the left side, or a part of it.
    pub(crate) on_the_left: bool,
}

impl Threshold {
    /// Whether it is written as a whole number.
    pub(crate) fn is_whole(&self) -> bool {
        !self.text.contains(['.', 'e', 'E'])
    }
}

/// How to go from a query to the one that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// This common table expression of the whole query.
    Cte(usize),
    /// The subquery in FROM.
    Subquery,
}

/// The last filter of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(super) query: Query,
    /// From the query to the one with the filter.
    pub(super) steps: Vec<Step>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) tree: Tree,
    /// In the order of the text.
    pub(crate) thresholds: Vec<Threshold>,
}

impl Filter {
    /// Finds it.
    ///
    /// # Errors
    /// When the rule cannot be parsed, or filters nothing.
    pub(crate) fn of(rule: &Rule) -> Result<Self> {
        let query = parse(rule)?;
        let mut steps = Vec::new();
        let Some(select) = last_filter(&query, &mut steps) else {
            return Err(Error::usage(format!("`{}` has no filter of its own", rule.id))
                .at(&rule.path)
                .detail("Its last query has neither WHERE nor QUALIFY.")
                .hint("write the condition there, rather than in a joined table or a window"));
        };
        let mut leaves = Vec::new();
        let mut clauses = Vec::new();
        for (clause, expr) in
            [(Clause::Where, &select.selection), (Clause::Qualify, &select.qualify)]
        {
            clauses.extend(expr.as_ref().map(|expr| tree(expr, false, clause, &mut leaves)));
        }
        let thresholds = leaves.iter().enumerate().flat_map(|(at, leaf)| numbers_of(at, leaf));
        let mut thresholds: Vec<Threshold> = thresholds.collect();
        thresholds.sort_by_key(|one| one.place);
        // A number of the tested side of BETWEEN stands in two leaves, and is no threshold of either.
        let places: Vec<Location> = thresholds.iter().map(|one| one.place).collect();
        thresholds.retain(|one| places.iter().filter(|place| **place == one.place).count() == 1);
        let tree = joined(clauses, Tree::All);
        Ok(Self { steps, leaves, tree, thresholds, query })
    }
}

/// The query of a rule.
pub(super) fn parse(rule: &Rule) -> Result<Query> {
    let refused = |detail: String| {
        Error::usage("the rule cannot be parsed")
            .at(&rule.path)
            .detail(detail)
            .hint("`nightlatch rules check` says why")
    };
    let parser = DFParserBuilder::new(rule.sql.as_str()).with_dialect(&GenericDialect {}).build();
    let statements = parser.and_then(|mut parser| parser.parse_statements());
    let statement = statements.map_err(|error| refused(error.strip_backtrace()))?.pop_front();
    match statement {
        Some(DfStatement::Statement(statement)) => match *statement {
            Statement::Query(query) => Ok(*query),
            _ => Err(refused("It is no query.".to_owned())),
        },
        _ => Err(refused("It is no query.".to_owned())),
    }
}

/// The outermost query that filters, or the one it simply reads from.
fn last_filter<'a>(whole: &'a Query, steps: &mut Vec<Step>) -> Option<&'a Select> {
    let mut query = whole;
    loop {
        let SetExpr::Select(select) = &*query.body else { return None };
        if select.selection.is_some() || select.qualify.is_some() {
            return Some(select);
        }
        let (step, inner) = source(whole, query, select, steps)?;
        steps.push(step);
        query = inner;
    }
}

/// The query that a query without joins reads.
fn source<'a>(
    whole: &'a Query,
    query: &'a Query,
    select: &'a Select,
    steps: &[Step],
) -> Option<(Step, &'a Query)> {
    // Names of a WITH further in would hide those of the whole query.
    if !std::ptr::eq(whole, query) && query.with.is_some() {
        return None;
    }
    let [table] = select.from.as_slice() else { return None };
    match &table.relation {
        _ if !table.joins.is_empty() => None,
        TableFactor::Derived { subquery, .. } => Some((Step::Subquery, subquery)),
        TableFactor::Table { name, .. } => {
            let ctes = &whole.with.as_ref()?.cte_tables;
            // A table reads those before it only, so this ends.
            let before = steps.iter().rev().find_map(|step| match step {
                Step::Cte(index) => Some(*index),
                Step::Subquery => None,
            });
            let visible = &ctes[..before.unwrap_or(ctes.len())];
            let name = name.to_string();
            let same = |own: &str| own.eq_ignore_ascii_case(&name);
            let index = visible.iter().rposition(|cte| same(&cte.alias.name.to_string()))?;
            Some((Step::Cte(index), &ctes[index].query))
        }
        _ => None,
    }
}

/// The tree of an expression, or of its opposite.
fn tree(expr: &Expr, negated: bool, clause: Clause, leaves: &mut Vec<Leaf>) -> Tree {
    match expr {
        Expr::Nested(inner) => tree(inner, negated, clause, leaves),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => tree(expr, !negated, clause, leaves),
        Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
            let parts = [left, right].map(|part| tree(part, negated, clause, leaves));
            // NOT (a AND b) is NOT a OR NOT b, with NULLs too.
            let all = (*op == BinaryOperator::And) != negated;
            joined(parts.into(), if all { Tree::All } else { Tree::Any })
        }
        Expr::Between { expr, negated: own, low, high } => {
            let between = [(Operator::GreaterOrEqual, low), (Operator::LessOrEqual, high)];
            let negated = negated != *own;
            let parts = between.map(|(operator, bound)| {
                let operator = if negated { operator.opposite() } else { operator };
                let (left, right) = ((**expr).clone(), (**bound).clone());
                comparison(left, operator, right, clause, leaves)
            });
            joined(parts.into(), if negated { Tree::Any } else { Tree::All })
        }
        Expr::BinaryOp { left, op, right } => match Operator::of(op) {
            Some(operator) => {
                let operator = if negated { operator.opposite() } else { operator };
                comparison((**left).clone(), operator, (**right).clone(), clause, leaves)
            }
            None => plain(expr, negated, clause, leaves),
        },
        _ => plain(expr, negated, clause, leaves),
    }
}

/// One level where a level would repeat its parent.
fn joined(parts: Vec<Tree>, level: fn(Vec<Tree>) -> Tree) -> Tree {
    let is_all = matches!(level(Vec::new()), Tree::All(_));
    let mut flat = Vec::new();
    for part in parts {
        match part {
            Tree::All(inner) if is_all => flat.extend(inner),
            Tree::Any(inner) if !is_all => flat.extend(inner),
            other => flat.push(other),
        }
    }
    match (flat.len(), flat.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            flat.extend(last);
            level(flat)
        }
    }
}

fn comparison(
    left: Expr,
    operator: Operator,
    right: Expr,
    clause: Clause,
    leaves: &mut Vec<Leaf>,
) -> Tree {
    let (boxed_left, boxed_right) = (Box::new(left.clone()), Box::new(right.clone()));
    let test = Expr::BinaryOp { left: boxed_left, op: operator.sql(), right: boxed_right };
    let line = left.span().start.line;
    leaves.push(Leaf {
        test,
        clause,
        line,
        comparison: Some(Comparison { left, operator, right }),
    });
    Tree::Leaf(leaves.len() - 1)
}

fn plain(expr: &Expr, negated: bool, clause: Clause, leaves: &mut Vec<Leaf>) -> Tree {
    let line = expr.span().start.line;
    let test = match expr.clone() {
        expr if !negated => expr,
        expr => {
            let expr = Box::new(Expr::Nested(Box::new(expr)));
            Expr::UnaryOp { op: UnaryOperator::Not, expr }
        }
    };
    leaves.push(Leaf { test, clause, line, comparison: None });
    Tree::Leaf(leaves.len() - 1)
}

/// The thresholds of one leaf.
fn numbers_of(leaf: usize, parts: &Leaf) -> Vec<Threshold> {
    let mut found = Vec::new();
    // `1 = 1` is no condition on anything.
    if let Some(comparison) = &parts.comparison
        && mentions(&parts.test, |part| {
            matches!(part, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_))
        })
    {
        numbers(&comparison.left, false, (leaf, true), &mut found);
        numbers(&comparison.right, false, (leaf, false), &mut found);
    }
    found
}

/// The numbers that arithmetic puts together; those inside functions, `CASE` and windows are no
/// thresholds.
fn numbers(expr: &Expr, negative: bool, place: (usize, bool), found: &mut Vec<Threshold>) {
    match expr {
        Expr::Nested(expr) | Expr::Cast { expr, .. } => numbers(expr, false, place, found),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => numbers(expr, true, place, found),
        Expr::BinaryOp {
            left,
            op:
                BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo,
            right,
        } => {
            numbers(left, false, place, found);
            numbers(right, false, place, found);
        }
        Expr::Value(literal) => {
            let Value::Number(digits, _) = &literal.value else { return };
            let text = if negative { format!("-{digits}") } else { digits.clone() };
            let Ok(value) = text.parse() else { return };
            let (leaf, on_the_left) = place;
            let place = literal.span.start;
            found.push(Threshold { leaf, place, text, value, negative, on_the_left });
        }
        _ => {}
    }
}

/// Whether a part of the expression, subqueries included, is of a kind.
pub(super) fn mentions(expr: &Expr, is_it: impl Fn(&Expr) -> bool) -> bool {
    struct Search<F>(F);
    impl<F: Fn(&Expr) -> bool> Visitor for Search<F> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if (self.0)(expr) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    expr.visit(&mut Search(is_it)).is_break()
}

/// Whether a query stands inside the expression.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    mentions(expr, |part| {
        matches!(part, Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. })
    })
}

/// Puts another number in the place of a threshold.
pub(super) fn replace(tree: &mut impl VisitMut, threshold: &Threshold, value: f64) {
    struct Replace {
        place: Location,
        number: Expr,
    }
    impl VisitorMut for Replace {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let is_it = matches!(expr, Expr::Value(own)
                if own.span.start == self.place && matches!(own.value, Value::Number(..)));
            if is_it {
                *expr = self.number.clone();
            }
            ControlFlow::Continue(())
        }
    }
    // The minus before it stays.
    let value = if threshold.negative { -value } else { value };
    let number = number(value, threshold.is_whole());
    let _ = tree.visit(&mut Replace { place: threshold.place, number }); // never breaks off
}

/// A number as SQL; of the kind that stood there, as far as it fits.
fn number(value: f64, whole: bool) -> Expr {
    let digits = digits(value.abs(), whole);
    let literal = Expr::value(Value::Number(digits, false));
    if value.is_sign_negative() && value != 0.0 {
        let expr = Box::new(literal);
        Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Minus, expr }))
    } else {
        literal
    }
}

/// The digits of a number: `5`, or `5.0` where the rule has a number with a point.
pub(crate) fn digits(value: f64, whole: bool) -> String {
    if value.fract() == 0.0 && !whole { format!("{value:.1}") } else { value.to_string() }
}

/// The query that the steps lead to.
pub(super) fn reach<'a>(whole: &'a mut Query, steps: &[Step]) -> Option<&'a mut Select> {
    // The last table of the whole query that is read decides where to begin.
    let last_cte = steps.iter().rposition(|step| matches!(step, Step::Cte(_)));
    let (mut query, rest) = match last_cte {
        Some(at) => {
            let Step::Cte(index) = steps[at] else { return None };
            let ctes = &mut whole.with.as_mut()?.cte_tables;
            (&mut *ctes.get_mut(index)?.query, &steps[at + 1..])
        }
        None => (whole, steps),
    };
    for _ in rest {
        let SetExpr::Select(select) = &mut *query.body else { return None };
        let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else {
            return None;
        };
        query = subquery;
    }
    match &mut *query.body {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}
