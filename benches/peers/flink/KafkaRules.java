import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;

/**
 * The rules of B4 (benches/README.md) by Flink: from a topic of events to a topic of alerts.
 *
 * <p>{@code KafkaRules BROKERS TOPIC EVENTS RULES CASE ENGINE hashmap|rocksdb STATE_FOLDER}. RULES is a folder of
 * queries. A job on the first events of each partition warms the JVM up before the one that is measured. The clock
 * runs from the moment when that job runs until it has read the topic to its end and written all alerts.
 */
public final class KafkaRules {
    private static final int PARALLELISM = 2;
    private static final int PARTITIONS = 8;
    private static final long WARM_UP_EVENTS = 100_000;

    // The sink runs in this JVM, so it can tell here what it saw.
    private static final Map<String, AtomicLong> MATCHES = new ConcurrentHashMap<>();

    private final String brokers;
    private final String topic;
    private final Map<String, String> rules;
    private final Configuration configuration;

    private KafkaRules(String brokers, String topic, Map<String, String> rules, Configuration configuration) {
        this.brokers = brokers;
        this.topic = topic;
        this.rules = rules;
        this.configuration = configuration;
    }

    public static void main(String[] arguments) throws Exception {
        long events = Long.parseLong(arguments[2]);
        String label = "b4\t" + arguments[4] + "\t" + arguments[5] + "\t";
        KafkaRules job =
                new KafkaRules(
                        arguments[0],
                        arguments[1],
                        readRules(Path.of(arguments[3])),
                        configuration(arguments[6], arguments[7]));

        job.run(job.untilOffset(Math.min(events, WARM_UP_EVENTS) / PARTITIONS));
        OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
        long cpuBefore = system.getProcessCpuTime();
        double seconds = job.run("'scan.bounded.mode' = 'latest-offset'");
        double cpuSeconds = (system.getProcessCpuTime() - cpuBefore) / 1e9;

        System.out.println(label + "events_per_second\t" + Math.round(events / seconds));
        System.out.println(label + "cpu_seconds_per_million_events\t" + cpuSeconds / events * 1e6);
        System.out.println(label + "checksum\t" + matches());
    }

    /** By name, without the comment at the beginning. TIME is a word of Flink's grammar. */
    private static Map<String, String> readRules(Path folder) throws IOException {
        Map<String, String> rules = new TreeMap<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.sql")) {
            for (Path file : files) {
                String text = Files.readString(file);
                String query = text.substring(text.indexOf("*/") + 2).replaceAll("\\btime\\b", "`time`");
                rules.put(file.getFileName().toString().replace(".sql", ""), query);
            }
        }
        return rules;
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

    private String untilOffset(long offset) {
        StringBuilder offsets = new StringBuilder();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            offsets.append("partition:" + partition + ",offset:" + offset + ";");
        }
        return "'scan.bounded.mode' = 'specific-offsets', 'scan.bounded.specific-offsets' = '" + offsets + "'";
    }

    /** Runs the rules on the topic; gives seconds. */
    private double run(String bounds) throws Exception {
        MATCHES.clear();
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, configuration);
        StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
        tables.executeSql(eventTable(bounds));
        tables.toDataStream(tables.sqlQuery(allRules()))
                .map(KafkaRules::alert)
                .returns(Types.STRING)
                .sinkTo(alertTopic());
        JobClient client = environment.executeAsync();
        while (client.getJobStatus().get() != JobStatus.RUNNING) {
            Thread.sleep(5);
        }
        long started = System.nanoTime();
        client.getJobExecutionResult().get();
        return (System.nanoTime() - started) / 1e9;
    }

    /** The columns that the rules need, and a watermark a minute behind the newest event of each partition. */
    private String eventTable(String bounds) {
        return """
                CREATE TABLE events (
                    `time` TIMESTAMP_LTZ(3),
                    action STRING,
                    outcome STRING,
                    account STRING,
                    ip STRING,
                    WATERMARK FOR `time` AS `time` - INTERVAL '1' MINUTE
                ) WITH (
                    'connector' = 'kafka',
                    'topic' = '%s',
                    'properties.bootstrap.servers' = '%s',
                    'scan.startup.mode' = 'earliest-offset',
                    %s,
                    'format' = 'json',
                    'json.timestamp-format.standard' = 'ISO-8601'
                )"""
                .formatted(topic, brokers, bounds);
    }

    /** One query, so that the topic is read once. */
    private String allRules() {
        return rules.entrySet().stream()
                .map(rule ->
                        "SELECT '%s' AS rule, r.* FROM (%s) AS r (happened_at, entity, first_count, second_count)"
                                .formatted(rule.getKey(), rule.getValue()))
                .collect(Collectors.joining(" UNION ALL "));
    }

    private static String alert(Row row) {
        MATCHES.computeIfAbsent((String) row.getField(0), rule -> new AtomicLong()).incrementAndGet();
        return """
                {"rule":"%s","time":"%s","entity":"%s","values":[%s,%s]}"""
                .formatted(row.getField(0), row.getField(1), row.getField(2), row.getField(3), row.getField(4));
    }

    private KafkaSink<String> alertTopic() {
        return KafkaSink.<String>builder()
                .setBootstrapServers(brokers)
                .setRecordSerializer(
                        KafkaRecordSerializationSchema.<String>builder()
                                .setTopic(topic + "-alerts")
                                .setValueSerializationSchema(new SimpleStringSchema())
                                .build())
                .build();
    }

    private static String matches() {
        List<String> counts =
                new TreeMap<>(MATCHES)
                        .entrySet().stream().map(rule -> rule.getKey() + "=" + rule.getValue()).toList();
        return String.join(",", counts);
    }
}
