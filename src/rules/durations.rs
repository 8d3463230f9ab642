//! Intervals of a fixed length beside instants, as durations: one subtraction instead of a walk through
//! the calendar. All instants are in UTC, where a day has 24 hours; months stay intervals.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

const DAY_MICROS: i64 = 86_400_000_000;

/// The same expression with durations.
pub(super) fn with_durations(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let replaced = expr.transform(|part| match part {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Minus | Operator::Plus),
            right,
        }) if left.get_type(schema).is_ok_and(|of| is_instant(&of)) => {
            let duration = micros_of(&right);
            let right = duration.map_or(right, |micros| {
                Box::new(Expr::Literal(ScalarValue::DurationMicrosecond(Some(micros)), None))
            });
            let is_replaced = duration.is_some();
            let expr = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Ok(if is_replaced { Transformed::yes(expr) } else { Transformed::no(expr) })
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}

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
    use arrow::datatypes::IntervalMonthDayNano;

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
