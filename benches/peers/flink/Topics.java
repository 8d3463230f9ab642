import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Makes and deletes topics for B4 (benches/README.md).
 *
 * <p>{@code Topics fill BROKERS TOPIC PARTITIONS} makes a topic, and a second one named TOPIC-alerts, and sends the
 * lines of standard input to the partitions in turn. One event of a later time closes each partition, so that a
 * watermark passes all others. Prints the time of the last line. {@code Topics delete BROKERS TOPIC} deletes both.
 */
public final class Topics {
    private static final Pattern TIME = Pattern.compile("\"time\":\"([^\"]+)\"");
    /** Beyond the lateness that the engines wait for. */
    private static final Duration CLOSES_AFTER = Duration.ofMinutes(2);

    private Topics() {}

    public static void main(String[] arguments) throws Exception {
        String brokers = arguments[1];
        String topic = arguments[2];
        if (arguments[0].equals("delete")) {
            delete(brokers, topic);
        } else {
            int partitions = Integer.parseInt(arguments[3]);
            create(brokers, topic, partitions);
            System.out.println(fill(brokers, topic, partitions));
        }
    }

    private static void create(String brokers, String topic, int partitions) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers))) {
            short replicas = 1;
            List<NewTopic> topics = new ArrayList<>();
            topics.add(new NewTopic(topic, partitions, replicas));
            topics.add(new NewTopic(topic + "-alerts", 1, replicas));
            // The events are years old, and shall stay all the same.
            topics.forEach(made -> made.configs(Map.of("retention.ms", "-1")));
            admin.createTopics(topics).all().get();
        }
    }

    private static void delete(String brokers, String topic) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers))) {
            admin.deleteTopics(List.of(topic, topic + "-alerts")).all().get();
        }
    }

    /** The time of the last event. */
    private static Instant fill(String brokers, String topic, int partitions) throws IOException {
        Map<String, Object> settings =
                Map.of("bootstrap.servers", brokers, "compression.type", "lz4", "linger.ms", 20, "batch.size", 262_144);
        ByteArraySerializer bytes = new ByteArraySerializer();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, bytes, bytes)) {
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            String last = null;
            int partition = 0;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                send(producer, topic, partition, line);
                partition = (partition + 1) % partitions;
                last = line;
            }
            Instant end = timeOf(last);
            for (int each = 0; each < partitions; each++) {
                send(producer, topic, each, closing(end.plus(CLOSES_AFTER)));
            }
            return end;
        }
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, int partition, String line) {
        byte[] value = line.getBytes(StandardCharsets.UTF_8);
        producer.send(
                new ProducerRecord<>(topic, partition, null, value),
                (sent, error) -> {
                    if (error != null) {
                        error.printStackTrace();
                        Runtime.getRuntime().halt(1);
                    }
                });
    }

    private static Instant timeOf(String line) {
        Matcher time = TIME.matcher(line);
        if (!time.find()) {
            throw new IllegalArgumentException("no time in the last event: " + line);
        }
        return Instant.parse(time.group(1));
    }

    private static String closing(Instant time) {
        return "{\"time\":\"" + time + "\",\"action\":\"close\",\"account\":\"close\"}";
    }
}
