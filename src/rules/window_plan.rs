//! One window function of a rule: which function of the core it is, and whether it can run exactly.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, WindowFrameBound, WindowFrameUnits};

use super::cells;
use super::diagnosis::{Refusal, refuse};
use super::plan::Planner;
use super::positional::Positional;
use super::program::{AggregateRequest, LagRequest, NodeId, SelectionId};
use crate::event::schema;
use crate::window::Frame;
use crate::window::Function;

/// The rows that `lag` may go back: a key keeps so many.
const LAG_ROWS_MAX: i64 = 64;

const FRAME_HINT: &str = "Write RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW, or ... AND INTERVAL '1' MINUTE PRECEDING.";

/// A window function with its parts planned.
pub(super) struct Call<'a> {
    pub(super) function: &'a WindowFunction,
    pub(super) keys: Vec<NodeId>,
    pub(super) selection: SelectionId,
    pub(super) filter: Option<NodeId>,
    pub(super) argument: Option<NodeId>,
    pub(super) data_type: DataType,
    pub(super) ignores_nulls: bool,
}

/// The function's name in the SQL.
pub(super) fn name_of(function: &WindowFunction) -> &str {
    let name = function.fun.name();
    match Positional::of(name) {
        Some(positional) => positional.sql_name(),
        None => name,
    }
}

/// Adds the call to the program.
pub(super) fn add(planner: &mut Planner<'_>, call: Call<'_>) -> Result<NodeId, Refusal> {
    if name_of(call.function) == "lag" {
        return add_lag(planner, call);
    }
    let function = core_function(planner, &call)?;
    let frame = frame_of(call.function)?;
    let label = label_of(&call);
    let ignores_nulls =
        call.ignores_nulls || !matches!(function, Function::First | Function::Newest);
    let request = AggregateRequest {
        function,
        frame,
        selection: call.selection,
        filter: call.filter,
        argument: call.argument,
        ignores_nulls,
    };
    Ok(planner.program.aggregate(&call.keys, &request, call.data_type, &label))
}

/// The call without its window: `count(DISTINCT account) FILTER (WHERE ...)`.
fn label_of(call: &Call<'_>) -> String {
    let params = &call.function.params;
    let args: Vec<String> = params.args.iter().map(ToString::to_string).collect();
    let distinct = if params.distinct { "DISTINCT " } else { "" };
    let filter = params.filter.as_ref().map(|f| format!(" FILTER (WHERE {f})")).unwrap_or_default();
    format!("{}({distinct}{}){filter}", name_of(call.function), args.join(", "))
}

fn core_function(planner: &mut Planner<'_>, call: &Call<'_>) -> Result<Function, Refusal> {
    let name = name_of(call.function);
    let distinct = call.function.params.distinct;
    if distinct && name != "count" {
        return Err(refuse(format!("`{name}(DISTINCT ...)` is not supported in a window"))
            .hint("count(DISTINCT ...) is.")
            .anchor(name));
    }
    if call.function.params.args.len() > 1 {
        return Err(refuse(format!("`{name}` takes one argument in a window")).anchor(name));
    }
    let time = planner.program.event(schema::TIME, &schema::time_type());
    let is_time = call.argument == Some(time);
    let argument_type =
        call.argument.map_or(DataType::Null, |node| planner.program.nodes[node].data_type.clone());
    let kind = || cells::cell_kind(&argument_type, call.argument.unwrap_or_default());
    let function = match name {
        "count" if distinct => Some(Function::CountDistinct),
        "count" => Some(Function::Count),
        "sum" => sum_of(&argument_type),
        "avg" if argument_type == DataType::Float64 => Some(Function::Average),
        "stddev" if argument_type == DataType::Float64 => Some(Function::DeviationSample),
        "stddev_pop" if argument_type == DataType::Float64 => Some(Function::DeviationPopulation),
        "min" => kind().map(Function::Smallest),
        "max" if is_time => Some(Function::Newest),
        "max" => kind().map(Function::Largest),
        "first_value" => Some(Function::First),
        "last_value" => Some(Function::Newest),
        _ => return Err(unsupported(name)),
    };
    function.ok_or_else(|| {
        refuse(format!("`{name}` of {argument_type} is not supported in a window"))
            .hint("Cast the argument to BIGINT or DOUBLE.")
            .anchor(name)
    })
}

fn sum_of(argument: &DataType) -> Option<Function> {
    match argument {
        DataType::Int64 | DataType::UInt64 => Some(Function::IntegerSum),
        DataType::Float64 => Some(Function::FloatSum),
        _ => None,
    }
}

fn unsupported(name: &str) -> Refusal {
    refuse(format!("the window function `{name}` is not supported"))
        .hint("Use count, count(DISTINCT), sum, avg, min, max, stddev, stddev_pop, first_value, last_value or lag.")
        .anchor(name)
}

/// The frame in microseconds, or why it has no bounded exact state.
fn frame_of(function: &WindowFunction) -> Result<Frame, Refusal> {
    let frame = &function.params.window_frame;
    let name = name_of(function);
    if frame.units != WindowFrameUnits::Range {
        return Err(refuse(format!("`{name}` has a {} frame", frame.units))
            .detail("Such a frame may reach back without end in time.")
            .hint(FRAME_HINT)
            .anchor(frame.units.to_string())
            .anchor(name));
    }
    let start = match &frame.start_bound {
        WindowFrameBound::Preceding(value) if value.is_null() => {
            return Err(refuse(format!(
                "`{name}` has a frame without a bound: its state would never end"
            ))
            .hint(FRAME_HINT)
            .anchor("UNBOUNDED")
            .anchor(name));
        }
        WindowFrameBound::Preceding(value) => micros_of(value, name)?,
        WindowFrameBound::CurrentRow => 0,
        WindowFrameBound::Following(_) => return Err(following(name)),
    };
    let end = match &frame.end_bound {
        WindowFrameBound::CurrentRow => 0,
        WindowFrameBound::Preceding(value) if !value.is_null() => micros_of(value, name)?,
        _ => return Err(following(name)),
    };
    if start < end {
        return Err(refuse(format!("the frame of `{name}` ends before it begins")).anchor(name));
    }
    Ok(Frame { start_micros: start, end_micros: end })
}

fn following(name: &str) -> Refusal {
    refuse(format!("the frame of `{name}` looks into the future"))
        .hint(FRAME_HINT)
        .anchor("FOLLOWING")
        .anchor(name)
}

fn micros_of(bound: &ScalarValue, name: &str) -> Result<i64, Refusal> {
    let refusal = |message: &str, hint: &str| {
        Err(refuse(format!("the frame of `{name}` {message}"))
            .hint(hint)
            .anchor("INTERVAL")
            .anchor(name))
    };
    let (months, days, nanos) = match bound {
        ScalarValue::IntervalMonthDayNano(Some(i)) => (i.months, i64::from(i.days), i.nanoseconds),
        ScalarValue::IntervalDayTime(Some(i)) => {
            (0, i64::from(i.days), i64::from(i.milliseconds) * 1_000_000)
        }
        ScalarValue::DurationMicrosecond(Some(micros)) => (0, 0, micros.saturating_mul(1000)),
        _ => return refusal("is not an interval", FRAME_HINT),
    };
    if months != 0 {
        return refusal("is counted in months, whose length varies", "Write INTERVAL '30' DAY.");
    }
    if nanos % 1000 != 0 {
        return refusal("is finer than a microsecond", "Write INTERVAL '1' MICROSECOND.");
    }
    let micros = days * 86_400_000_000 + nanos / 1000;
    if micros < 0 {
        return refusal("has a negative interval", FRAME_HINT);
    }
    Ok(micros)
}

fn add_lag(planner: &mut Planner<'_>, call: Call<'_>) -> Result<NodeId, Refusal> {
    let Some(horizon_micros) = planner.horizon_micros else {
        return Err(refuse("`lag` may look back without end: its state would never be freed")
            .hint("Declare horizon = \"30 days\" in the front matter, or use last_value(...) over a frame that ends just before the row: RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING.")
            .anchor("lag"));
    };
    let args = &call.function.params.args;
    let n = match args.get(1) {
        None => 1,
        Some(Expr::Literal(ScalarValue::Int64(Some(n)), _)) if (1..=LAG_ROWS_MAX).contains(n) => *n,
        Some(_) => {
            return Err(refuse(format!(
                "`lag` goes back by a constant from 1 to {LAG_ROWS_MAX} rows"
            ))
            .anchor("lag"));
        }
    };
    let default = match args.get(2) {
        None => None,
        Some(Expr::Literal(value, _)) if value.is_null() => None,
        Some(Expr::Literal(value, _)) => {
            Some(planner.constant(&value.cast_to(&call.data_type)?).ok_or_else(no_default)?)
        }
        Some(_) => return Err(no_default()),
    };
    let argument = call.argument.ok_or_else(|| refuse("`lag` needs an argument").anchor("lag"))?;
    let request = LagRequest {
        n: n as usize,
        horizon_micros,
        selection: call.selection,
        filter: call.filter,
        argument,
        default,
        ignores_nulls: call.ignores_nulls,
    };
    let label = label_of(&call);
    Ok(planner.program.lag(&call.keys, &request, call.data_type, &label))
}

fn no_default() -> Refusal {
    refuse("the default of `lag` must be a constant number, boolean or time")
        .hint("Use coalesce(lag(...), default).")
        .anchor("lag")
}
