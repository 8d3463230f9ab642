//! `first_value`, `last_value` and `lag` as the planner sees them.
//!
//! DataFusion plans these as pure window functions and refuses `FILTER` on them. Declared as aggregates
//! they keep their filter in the plan; the window core runs them, and the oracle puts DataFusion's own
//! functions back.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, not_impl_err};
use datafusion::execution::context::SessionContext;
use datafusion::functions_window::{lead_lag, nth_value};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility, WindowUDF,
};

/// A function that depends on the position of rows in their frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Positional {
    First,
    Last,
    Lag,
}

const ALL: [Positional; 3] = [Positional::First, Positional::Last, Positional::Lag];

impl Positional {
    /// Name in the SQL.
    pub(super) fn sql_name(self) -> &'static str {
        match self {
            Self::First => "first_value",
            Self::Last => "last_value",
            Self::Lag => "lag",
        }
    }

    /// The function that a plan names, under either name.
    pub(super) fn of(name: &str) -> Option<Self> {
        ALL.into_iter().find(|own| own.plan_name() == name || own.sql_name() == name)
    }

    /// Name in a plan: another one, because the planner takes its own functions for the SQL names.
    fn plan_name(self) -> &'static str {
        match self {
            Self::First => "first_value_in_frame",
            Self::Last => "last_value_in_frame",
            Self::Lag => "lag_in_horizon",
        }
    }

    /// DataFusion's own function.
    pub(super) fn window_function(self) -> Arc<WindowUDF> {
        match self {
            Self::First => nth_value::first_value_udwf(),
            Self::Last => nth_value::last_value_udwf(),
            Self::Lag => lead_lag::lag_udwf(),
        }
    }
}

/// Makes the SQL names mean the declarations of this module.
pub(super) fn register(context: &SessionContext) {
    for function in ALL {
        let declared = Declared {
            function,
            aliases: vec![function.sql_name().to_owned()],
            signature: Signature::variadic_any(Volatility::Immutable),
        };
        context.register_udaf(AggregateUDF::new_from_impl(declared));
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Declared {
    function: Positional,
    aliases: Vec<String>,
    signature: Signature,
}

impl AggregateUDFImpl for Declared {
    fn name(&self) -> &str {
        self.function.plan_name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Null))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("`{}` needs a window", self.function.sql_name())
    }
}
