//! DataFusion: its batch window operator, and the streaming one (`BoundedWindowAggExec`, mode linear)
//! that it takes for an unbounded table in time order.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::{SessionContext, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, col};
use futures::StreamExt;

use super::Checksum;
use super::table::{Table, schema};

const QUERY: &str = "\
SELECT count(*) OVER w AS counts, sum(failed) OVER w AS failures, count(DISTINCT value) OVER w AS distinct_values
FROM rows
WINDOW w AS (PARTITION BY key ORDER BY time RANGE BETWEEN INTERVAL '5' MINUTE PRECEDING AND CURRENT ROW)";

/// A table that DataFusion takes for endless.
#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.batches.clone().into_iter().map(Ok);
        let stream = futures::stream::iter(batches);
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream))
    }
}

/// Runs the query to its end.
pub(crate) fn run(table: Table, n_threads: usize, is_endless: bool) -> Checksum {
    let config = SessionConfig::new()
        .with_target_partitions(n_threads)
        .set_bool("datafusion.optimizer.prefer_existing_sort", true);
    let context = SessionContext::new_with_config(config);
    if is_endless {
        let rows = Rows { schema: schema(), batches: table.batches };
        let rows = StreamingTable::try_new(schema(), vec![Arc::new(rows)]).unwrap();
        let order = vec![col("time").sort(true, false)];
        let rows = rows.with_infinite_table(true).with_sort_order(order);
        context.register_table("rows", Arc::new(rows)).unwrap();
    } else {
        let rows = MemTable::try_new(schema(), vec![table.batches]).unwrap();
        context.register_table("rows", Arc::new(rows)).unwrap();
    }
    let runtime = match n_threads {
        1 => tokio::runtime::Builder::new_current_thread().build(),
        threads => tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build(),
    };
    runtime.unwrap().block_on(async {
        let frame = context.sql(QUERY).await.unwrap();
        if is_endless {
            let plan = frame.clone().create_physical_plan().await.unwrap();
            let plan =
                datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
            assert!(plan.contains("mode=[Linear]"), "not the streaming operator:\n{plan}");
        }
        let mut results = frame.execute_stream().await.unwrap();
        let mut checksum = Checksum::default();
        while let Some(batch) = results.next().await {
            checksum = checksum + sums(&batch.unwrap());
        }
        checksum
    })
}

fn sums(batch: &RecordBatch) -> Checksum {
    let sum = |column: usize| {
        let values = batch.column(column).as_primitive::<Int64Type>().values();
        values.iter().sum::<i64>().cast_unsigned()
    };
    Checksum { counts: sum(0), failures: sum(1), distinct: sum(2) }
}
