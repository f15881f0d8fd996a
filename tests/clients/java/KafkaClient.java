import java.io.PrintStream;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

/** Writes and reads as ../doc.go says, with Kafka's own client at its defaults (idempotent, acks=all). */
public class KafkaClient {
    public static void main(String[] args) throws Exception {
        Map<String, Object> conf = new HashMap<>();
        conf.put("bootstrap.servers", args[1]);
        if (args[0].equals("write")) {
            write(conf, args[2], args[3], Integer.parseInt(args[4]));
        } else {
            conf.put("group.id", args[2]);
            read(conf, Integer.parseInt(args[3]), Arrays.asList(args).subList(4, args.length));
        }
    }

    static void write(Map<String, Object> conf, String stream, String by, int n) throws Exception {
        try (var p = new KafkaProducer<>(conf, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < n; i++) {
                String text = by + " " + i + " " + "x".repeat(i * 37 % 500);
                sent.add(p.send(new ProducerRecord<>(stream, "k" + i % 17, text)));
            }
            for (var s : sent) {
                s.get();
            }
        }
    }

    static void read(Map<String, Object> conf, int n, List<String> streams) throws Exception {
        conf.put("auto.offset.reset", "earliest");
        conf.put("enable.auto.commit", "false");
        PrintStream out = new PrintStream(System.out, false);
        try (var c = new KafkaConsumer<>(conf, new StringDeserializer(), new StringDeserializer())) {
            c.subscribe(streams);
            long end = System.currentTimeMillis() + 60000;
            int got = 0;
            while (got < n) {
                if (System.currentTimeMillis() > end) {
                    throw new Exception("only " + got + " of " + n + " in a minute");
                }
                for (var r : c.poll(Duration.ofMillis(500))) {
                    out.println(r.topic() + "\t" + r.partition() + "\t" + r.offset() + "\t" + r.key() + "\t" + r.value());
                    got++;
                }
            }
            c.commitSync();
            long sum = 0;
            for (var o : c.committed(c.assignment()).values()) {
                sum += o.offset();
            }
            if (sum != n) {
                throw new Exception(sum + " messages committed, not " + n);
            }
        }
        out.flush();
    }
}
