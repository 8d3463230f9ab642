//! Named windows inside QUALIFY.
//!
//! DataFusion 55 knows the names of the WINDOW clause in the SELECT list alone; in QUALIFY such a call
//! becomes an aggregate without a window. Here the window itself is put in the place of its name.

use std::ops::ControlFlow;

use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Select, VisitMut, VisitorMut, WindowSpec,
    WindowType, visit_expressions_mut,
};

/// Parses a query and plans it.
///
/// # Errors
/// What DataFusion says.
pub(super) async fn logical_plan(state: &SessionState, sql: &str) -> Result<LogicalPlan> {
    let dialect = state.config_options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(sql, &dialect)?;
    if let Statement::Statement(inner) = &mut statement {
        let _ = inner.visit(&mut Substitution);
    }
    state.statement_to_plan(statement).await
}

struct Substitution;

impl VisitorMut for Substitution {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let Select { qualify: Some(qualify), named_window, .. } = select else {
            return ControlFlow::Continue(());
        };
        visit_expressions_mut(qualify, |expr| {
            if let Expr::Function(call) = expr
                && let Some(WindowType::NamedWindow(name)) = &call.over
                && let Some(window) = window_of(name, named_window)
            {
                call.over = Some(WindowType::WindowSpec(window.clone()));
            }
            ControlFlow::Continue(())
        })
    }
}

/// The window behind a name. A name may stand for another that was defined before it.
fn window_of<'a>(name: &Ident, named: &'a [NamedWindowDefinition]) -> Option<&'a WindowSpec> {
    let is_it = |definition: &NamedWindowDefinition| {
        let own = &definition.0;
        match own.quote_style.or(name.quote_style) {
            Some(_) => own.value == name.value,
            None => own.value.eq_ignore_ascii_case(&name.value),
        }
    };
    let place = named.iter().position(is_it)?;
    match &named[place].1 {
        NamedWindowExpr::WindowSpec(window) => Some(window),
        NamedWindowExpr::NamedWindow(other) => window_of(other, &named[..place]),
    }
}
