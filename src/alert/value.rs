//! Arrow values as JSON and as text.
//!
//! Integers and finite floats are JSON numbers, other floats null. Instants are RFC 3339 in UTC,
//! whatever the unit. A duration is its number of seconds. Lists are arrays. What JSON has no
//! exact form for (decimals, dates, intervals, binary, structs) is text as Arrow displays it.

use std::borrow::Cow;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, downcast_dictionary_array};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use crate::event::TimeMicros;

/// An instant as RFC 3339 in UTC with `Z`, and 0, 3 or 6 digits of a second as needed.
pub fn rfc3339(time: TimeMicros) -> String {
    DateTime::from_timestamp_micros(time).map_or_else(|| time.to_string(), shortest)
}

/// An instant as RFC 3339 with all six digits, for hashing.
pub(super) fn rfc3339_micros(time: TimeMicros) -> String {
    DateTime::from_timestamp_micros(time)
        .map_or_else(|| time.to_string(), |t| t.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn shortest(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The value at `row` as JSON.
pub fn json_value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => integer::<Int8Type>(array, row),
        DataType::Int16 => integer::<Int16Type>(array, row),
        DataType::Int32 => integer::<Int32Type>(array, row),
        DataType::Int64 => integer::<Int64Type>(array, row),
        DataType::UInt8 => integer::<UInt8Type>(array, row),
        DataType::UInt16 => integer::<UInt16Type>(array, row),
        DataType::UInt32 => integer::<UInt32Type>(array, row),
        DataType::UInt64 => integer::<UInt64Type>(array, row),
        DataType::Float16 => short_float(array.as_primitive::<Float16Type>().value(row)),
        DataType::Float32 => short_float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::from(array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(unit, _) => Value::String(timestamp(array, row, *unit)),
        DataType::Duration(unit) => Value::from(seconds(array, row, *unit)),
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        DataType::LargeList(_) => list(array.as_list::<i64>().value(row).as_ref()),
        DataType::FixedSizeList(..) => list(array.as_fixed_size_list().value(row).as_ref()),
        DataType::Dictionary(..) => dictionary(array, row),
        _ => string(array, row).map(Value::from).unwrap_or_else(|| displayed(array, row)),
    }
}

/// The value at `row` as text; `None` for NULL.
pub fn text_value(array: &dyn Array, row: usize) -> Option<Cow<'_, str>> {
    if array.is_null(row) {
        return None;
    }
    if let Some(text) = string(array, row) {
        return Some(Cow::Borrowed(text));
    }
    match json_value(array, row) {
        Value::Null => None,
        Value::String(text) => Some(Cow::Owned(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

fn string(array: &dyn Array, row: usize) -> Option<&str> {
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        _ => None,
    }
}

fn integer<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Value
where
    T::Native: Into<Value>,
{
    array.as_primitive::<T>().value(row).into()
}

/// A float of fewer than 64 bits by its own shortest digits: 0.1, not 0.10000000149011612.
fn short_float(float: impl std::fmt::Display) -> Value {
    Value::from(float.to_string().parse::<f64>().unwrap_or(f64::NAN))
}

fn timestamp(array: &dyn Array, row: usize, unit: TimeUnit) -> String {
    let (raw, time) = match unit {
        TimeUnit::Second => {
            let raw = array.as_primitive::<TimestampSecondType>().value(row);
            (raw, DateTime::from_timestamp(raw, 0))
        }
        TimeUnit::Millisecond => {
            let raw = array.as_primitive::<TimestampMillisecondType>().value(row);
            (raw, DateTime::from_timestamp_millis(raw))
        }
        TimeUnit::Microsecond => {
            let raw = array.as_primitive::<TimestampMicrosecondType>().value(row);
            (raw, DateTime::from_timestamp_micros(raw))
        }
        TimeUnit::Nanosecond => {
            let raw = array.as_primitive::<TimestampNanosecondType>().value(row);
            (raw, Some(DateTime::from_timestamp_nanos(raw)))
        }
    };
    time.map_or_else(|| raw.to_string(), shortest)
}

#[allow(clippy::cast_precision_loss)] // a duration of 285 years is exact to the microsecond
fn seconds(array: &dyn Array, row: usize, unit: TimeUnit) -> f64 {
    match unit {
        TimeUnit::Second => array.as_primitive::<DurationSecondType>().value(row) as f64,
        TimeUnit::Millisecond => {
            array.as_primitive::<DurationMillisecondType>().value(row) as f64 / 1e3
        }
        TimeUnit::Microsecond => {
            array.as_primitive::<DurationMicrosecondType>().value(row) as f64 / 1e6
        }
        TimeUnit::Nanosecond => {
            array.as_primitive::<DurationNanosecondType>().value(row) as f64 / 1e9
        }
    }
}

fn list(items: &dyn Array) -> Value {
    Value::Array((0..items.len()).map(|row| json_value(items, row)).collect())
}

fn dictionary(array: &dyn Array, row: usize) -> Value {
    downcast_dictionary_array!(
        array => array.key(row).map_or(Value::Null, |key| json_value(array.values(), key)),
        _ => Value::Null
    )
}

fn displayed(array: &dyn Array, row: usize) -> Value {
    ArrayFormatter::try_new(array, &FormatOptions::default())
        .and_then(|formatter| formatter.value(row).try_to_string())
        .map_or(Value::Null, Value::String)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
        DurationMicrosecondArray, DurationSecondArray, Float32Array, Float64Array, Int64Array,
        LargeStringArray, ListArray, NullArray, StringArray, StringViewArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
        TimestampSecondArray, UInt64Array,
    };
    use serde_json::json;

    use super::*;

    fn check(array: impl Array + 'static, expect: &[Value]) {
        let array: ArrayRef = Arc::new(array);
        let found: Vec<Value> = (0..array.len()).map(|row| json_value(&array, row)).collect();
        assert_eq!(found, expect, "{:?}", array.data_type());
    }

    #[test]
    fn numbers() {
        check(Int64Array::from(vec![Some(i64::MIN), None]), &[json!(i64::MIN), Value::Null]);
        check(UInt64Array::from(vec![u64::MAX]), &[json!(u64::MAX)]);
        check(
            Float64Array::from(vec![0.5, 3.0, f64::NAN, f64::INFINITY]),
            &[json!(0.5), json!(3.0), Value::Null, Value::Null],
        );
        check(Float32Array::from(vec![0.1, f32::NAN]), &[json!(0.1), Value::Null]);
        check(BooleanArray::from(vec![Some(true), None]), &[json!(true), Value::Null]);
        let decimal = Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).unwrap();
        check(decimal, &[json!("1.50")]);
    }

    #[test]
    fn texts() {
        check(StringArray::from(vec![Some("a"), None]), &[json!("a"), Value::Null]);
        check(LargeStringArray::from(vec!["\n"]), &[json!("\n")]);
        check(StringViewArray::from(vec!["", "日本"]), &[json!(""), json!("日本")]);
        check(BinaryArray::from_vec(vec![b"\x00\xff"]), &[json!("00ff")]);
        check(NullArray::new(1), &[Value::Null]);
    }

    #[test]
    fn times() {
        check(
            TimestampSecondArray::from(vec![0, i64::MAX]),
            &[json!("1970-01-01T00:00:00Z"), json!(i64::MAX.to_string())],
        );
        check(TimestampMillisecondArray::from(vec![-1]), &[json!("1969-12-31T23:59:59.999Z")]);
        check(
            TimestampMicrosecondArray::from(vec![1_500_000, 1]).with_timezone("+02:00"),
            &[json!("1970-01-01T00:00:01.500Z"), json!("1970-01-01T00:00:00.000001Z")],
        );
        check(TimestampNanosecondArray::from(vec![1]), &[json!("1970-01-01T00:00:00.000000001Z")]);
        check(Date32Array::from(vec![20_000]), &[json!("2024-10-04")]);
        check(DurationSecondArray::from(vec![-90]), &[json!(-90.0)]);
        check(DurationMicrosecondArray::from(vec![1_500_000]), &[json!(1.5)]);
    }

    #[test]
    fn years_one_and_9999() {
        assert_eq!(rfc3339(-62_135_596_800_000_000), "0001-01-01T00:00:00Z");
        assert_eq!(rfc3339(253_402_300_799_999_999), "9999-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
        assert_eq!(rfc3339_micros(0), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn nested() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        check(list, &[json!([1, null]), Value::Null, json!([])]);
        let dictionary: DictionaryArray<Int32Type> =
            vec![Some("a"), None, Some("a")].into_iter().collect();
        check(dictionary, &[json!("a"), Value::Null, json!("a")]);
    }

    #[test]
    fn text_of_values() {
        let check = |array: &dyn Array, expect: Option<&str>| {
            assert_eq!(text_value(array, 0).as_deref(), expect);
        };
        check(&StringViewArray::from(vec!["x"]), Some("x"));
        check(&StringViewArray::from(vec![None::<&str>]), None);
        check(&Int64Array::from(vec![7]), Some("7"));
        check(&Float64Array::from(vec![f64::NAN]), None);
        check(&TimestampSecondArray::from(vec![0]), Some("1970-01-01T00:00:00Z"));
        check(&DictionaryArray::<Int32Type>::from_iter(vec![Some("d")]), Some("d"));
    }
}
