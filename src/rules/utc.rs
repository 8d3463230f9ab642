//! Expressions over instants, made cheap by what is always so here: all instants are in UTC, where a day
//! has 24 hours and starts at midnight everywhere.
//!
//! - Intervals of a fixed length become durations: one subtraction instead of a walk through the
//!   calendar. Months stay intervals.
//! - `date_trunc` forgets the zone: it is then arithmetic on a column, where DataFusion else asks a
//!   calendar, and the allocator, for each row.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast};

const DAY_MICROS: i64 = 86_400_000_000;

/// The same expression, cheaper.
pub(super) fn for_utc(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let replaced = expr.transform_up(|part| match part {
        Expr::BinaryExpr(binary) => Ok(with_duration(binary, schema)),
        Expr::ScalarFunction(function) if function.name() == "date_trunc" => {
            Ok(without_zone(function, schema))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}

fn with_duration(binary: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    let BinaryExpr { left, op, right } = binary;
    let moves = matches!(op, Operator::Minus | Operator::Plus);
    let is_instant = moves && left.get_type(schema).is_ok_and(|of| is_instant(&of));
    let Some(micros) = micros_of(&right).filter(|_| is_instant) else {
        return Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }));
    };
    let duration = Expr::Literal(ScalarValue::DurationMicrosecond(Some(micros)), None);
    Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right: Box::new(duration) }))
}

fn without_zone(mut function: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let of = function.args.get(1).and_then(|instant| instant.get_type(schema).ok());
    let Some(of) = of.filter(|of| is_instant(of) && *of != PLAIN) else {
        return Transformed::no(Expr::ScalarFunction(function));
    };
    let instant = std::mem::replace(&mut function.args[1], Expr::Literal(ScalarValue::Null, None));
    function.args[1] = cast(instant, PLAIN);
    Transformed::yes(cast(Expr::ScalarFunction(function), of))
}

/// An instant without a zone.
const PLAIN: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn is_instant(of: &DataType) -> bool {
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = of else { return false };
    zone.as_ref().is_none_or(|zone| matches!(&**zone, "+00:00" | "UTC"))
}

/// The length of a constant interval in whole microseconds, where it has one.
fn micros_of(expr: &Expr) -> Option<i64> {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) = expr else {
        return None;
    };
    let is_fixed = interval.months == 0 && interval.nanoseconds % 1000 == 0;
    let days = i64::from(interval.days).checked_mul(DAY_MICROS)?;
    days.checked_add(interval.nanoseconds / 1000).filter(|_| is_fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
    use arrow::datatypes::IntervalMonthDayNano;
    use datafusion::functions::expr_fn::date_trunc;
    use datafusion::logical_expr::{col, lit};
    use datafusion::physical_expr::create_physical_expr;

    fn evaluated(expr: &Expr, batch: &RecordBatch, schema: &DFSchema) -> ArrayRef {
        let expr = create_physical_expr(expr, schema, &Default::default(), &Default::default());
        let value = expr.unwrap().evaluate(batch).unwrap();
        value.into_array(batch.num_rows()).unwrap()
    }

    #[test]
    fn a_truncated_instant_is_the_same_without_its_zone() {
        let hours = (-200_000..2_000_000).step_by(997).map(|hour| hour * 3_600_000_000 - 1);
        let times = TimestampMicrosecondArray::from_iter_values(hours).with_timezone("+00:00");
        let columns: Vec<(&str, ArrayRef)> = vec![("time", Arc::new(times))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let schema = DFSchema::try_from(batch.schema()).unwrap();
        for unit in ["second", "minute", "hour", "day", "week", "month", "quarter", "year"] {
            let expr = date_trunc(lit(unit), col("time"));
            let cheap = for_utc(expr.clone(), &schema).unwrap();
            assert_ne!(expr, cheap);
            assert_eq!(
                &evaluated(&expr, &batch, &schema),
                &evaluated(&cheap, &batch, &schema),
                "{unit}"
            );
        }
    }

    #[test]
    fn only_an_interval_of_a_fixed_length_becomes_a_duration() {
        let of = |months, days, nanos| {
            let interval = IntervalMonthDayNano::new(months, days, nanos);
            micros_of(&Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), None))
        };
        assert_eq!(of(0, 2, 5_000), Some(2 * DAY_MICROS + 5));
        assert_eq!(of(0, -1, 0), Some(-DAY_MICROS));
        assert_eq!(of(1, 0, 0), None);
        assert_eq!(of(0, 0, 1), None);
    }
}
