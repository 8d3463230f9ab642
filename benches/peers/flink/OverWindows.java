import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.BigIntType;
import org.apache.flink.table.types.logical.LogicalType;

/**
 * Flink's OVER aggregation on the rows of B1 (benches/README.md), in this JVM.
 *
 * <p>{@code OverWindows FILE ROWS CASE ENGINE hashmap|rocksdb PARALLELISM STATE_FOLDER}. A job on the first
 * rows warms the JVM up before the one that is measured. The clock runs from the first row that the source
 * reads until the sink has all results.
 *
 * <p>Flink's event time has milliseconds, the rows have microseconds. So that rows of one millisecond do not
 * become peers, Flink is told that a microsecond is a millisecond, and five minutes are 3 days, 11 hours
 * and 20 minutes.
 */
public final class OverWindows {
    private static final int ROW_BYTES = 24;
    private static final long WARM_UP_ROWS = 100_000;

    private static final String QUERY =
            """
            SELECT
                count(*) OVER w,
                sum(failed) OVER w,
                count(DISTINCT `value`) OVER w
            FROM events
            WINDOW w AS (
                PARTITION BY `key`
                ORDER BY `time`
                RANGE BETWEEN INTERVAL '3 11:20' DAY TO MINUTE PRECEDING AND CURRENT ROW
            )""";

    // Source and sink run in this JVM, so they can tell here what they saw.
    private static final AtomicLong STARTED_NANOS = new AtomicLong();
    private static final AtomicLong ENDED_NANOS = new AtomicLong();
    private static final AtomicLong RESULTS = new AtomicLong();
    private static final AtomicLong COUNTS = new AtomicLong();
    private static final AtomicLong FAILURES = new AtomicLong();
    private static final AtomicLong DISTINCT = new AtomicLong();

    private OverWindows() {}

    public static void main(String[] arguments) throws Exception {
        Path file = Path.of(arguments[0]);
        long rows = Math.min(Long.parseLong(arguments[1]), Files.size(file) / ROW_BYTES);
        String label = "b1\t" + arguments[2] + "\t" + arguments[3] + "\t";
        int parallelism = Integer.parseInt(arguments[5]);
        Configuration configuration = configuration(arguments[4], arguments[6]);

        run(file, Math.min(rows, WARM_UP_ROWS), parallelism, configuration);
        run(file, rows, parallelism, configuration);

        if (RESULTS.get() != rows) {
            throw new IllegalStateException(RESULTS + " results of " + rows + " rows");
        }
        double seconds = (ENDED_NANOS.get() - STARTED_NANOS.get()) / 1e9;
        System.out.println(label + "rows\t" + rows);
        System.out.println(label + "events_per_second\t" + Math.round(rows / seconds));
        System.out.println(label + "checksum\t" + COUNTS + "," + FAILURES + "," + DISTINCT);
    }

    /** Tuned as Flink's documents advise. Nothing is checkpointed. */
    private static Configuration configuration(String backend, String stateFolder) {
        Configuration configuration = new Configuration();
        configuration.setString("pipeline.object-reuse", "true");
        configuration.setString("state.backend.type", backend);
        configuration.setString("state.backend.rocksdb.localdir", stateFolder);
        configuration.setString("state.backend.rocksdb.predefined-options", "FLASH_SSD_OPTIMIZED");
        configuration.setString("taskmanager.memory.managed.size", "2g");
        configuration.setString("io.tmp.dirs", stateFolder);
        return configuration;
    }

    private static void run(Path file, long rows, int parallelism, Configuration configuration)
            throws Exception {
        for (AtomicLong sum : new AtomicLong[] {RESULTS, COUNTS, FAILURES, DISTINCT}) {
            sum.set(0);
        }
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.createLocalEnvironment(parallelism, configuration);
        StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
        DataStream<RowData> events = source(environment, file, rows);
        tables.createTemporaryView("events", tables.fromDataStream(events, schema()));
        sums(tables, tables.sqlQuery(QUERY));
        environment.execute();
    }

    /** One source, whatever the parallelism of the windows: the rows are in the order of their time. */
    private static DataStream<RowData> source(
            StreamExecutionEnvironment environment, Path file, long rows) {
        LogicalType number = new BigIntType(false);
        DataGeneratorSource<RowData> source =
                new DataGeneratorSource<>(
                        new Rows(file.toString(), rows),
                        rows,
                        InternalTypeInfo.ofFields(number, number, number, number));
        WatermarkStrategy<RowData> watermarks =
                WatermarkStrategy.<RowData>forMonotonousTimestamps()
                        .withTimestampAssigner((row, before) -> row.getLong(0));
        return environment.fromSource(source, watermarks, "rows").setParallelism(1);
    }

    private static Schema schema() {
        return Schema.newBuilder()
                .column("f1", DataTypes.BIGINT().notNull())
                .column("f2", DataTypes.BIGINT().notNull())
                .column("f3", DataTypes.BIGINT().notNull())
                .columnByExpression("key", "f1")
                .columnByExpression("value", "f2")
                .columnByExpression("failed", "f3")
                .columnByMetadata("time", DataTypes.TIMESTAMP_LTZ(3), "rowtime")
                .watermark("time", "SOURCE_WATERMARK()")
                .build();
    }

    private static void sums(StreamTableEnvironment tables, Table results) {
        DataType type =
                DataTypes.ROW(DataTypes.BIGINT(), DataTypes.BIGINT(), DataTypes.BIGINT())
                        .bridgedTo(RowData.class);
        tables.<RowData>toDataStream(results, type).sinkTo(new Sums());
    }

    /** Row number n of a file: time, key, value, failed. */
    private static final class Rows implements GeneratorFunction<Long, RowData> {
        private static final long serialVersionUID = 1;

        private final String file;
        private final long rows;
        private transient MappedByteBuffer bytes;
        private transient long firstTime;

        Rows(String file, long rows) {
            this.file = file;
            this.rows = rows;
        }

        @Override
        public void open(SourceReaderContext context) throws IOException {
            try (FileChannel channel = FileChannel.open(Path.of(file))) {
                bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, rows * ROW_BYTES);
            }
            bytes.order(ByteOrder.LITTLE_ENDIAN);
            firstTime = bytes.getLong(0);
        }

        @Override
        public RowData map(Long index) {
            if (index == 0) {
                STARTED_NANOS.set(System.nanoTime());
            }
            int at = (int) (index * ROW_BYTES);
            return GenericRowData.of(
                    // Flink takes a row of time 0 for late.
                    bytes.getLong(at) - firstTime + 1,
                    (long) bytes.getInt(at + 8),
                    (long) bytes.getInt(at + 12),
                    (long) bytes.getInt(at + 16));
        }
    }

    /** Adds the three results of all rows up. */
    private static final class Sums implements Sink<RowData> {
        private static final long serialVersionUID = 1;

        @Override
        public SinkWriter<RowData> createWriter(WriterInitContext context) {
            return new Writer();
        }

        private static final class Writer implements SinkWriter<RowData> {
            private long results;
            private long counts;
            private long failures;
            private long distinct;

            @Override
            public void write(RowData row, Context context) {
                results += 1;
                counts += row.getLong(0);
                failures += row.getLong(1);
                distinct += row.getLong(2);
            }

            @Override
            public void flush(boolean isEnd) {
                ENDED_NANOS.set(System.nanoTime());
            }

            @Override
            public void close() {
                RESULTS.addAndGet(results);
                COUNTS.addAndGet(counts);
                FAILURES.addAndGet(failures);
                DISTINCT.addAndGet(distinct);
            }
        }
    }
}
