import java.time.Duration;
import java.util.*;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

/** Writes N records through one node, idempotent as by default, and reads them in a group through another. */
public class KafkaRoundtrip {
    public static void main(String[] args) throws Exception {
        int n = Integer.parseInt(args[2]);
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < n; i++) sent.add(producer.send(new ProducerRecord<>("java", "key", "record " + i)));
            for (var f : sent) f.get();
        }
        Properties c = new Properties();
        c.put("bootstrap.servers", args[1]);
        c.put("group.id", "java");
        c.put("auto.offset.reset", "earliest");
        List<String> got = new ArrayList<>();
        try (var consumer = new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("java"));
            long end = System.currentTimeMillis() + 60000;
            while (got.size() < n && System.currentTimeMillis() < end)
                for (var r : consumer.poll(Duration.ofMillis(200))) got.add(r.value());
            consumer.commitSync();
        }
        for (int i = 0; i < n; i++)
            if (i >= got.size() || !got.get(i).equals("record " + i)) throw new AssertionError(got.size() + " records, or in another order");
        System.out.println(n + " records read back in order");
    }
}
