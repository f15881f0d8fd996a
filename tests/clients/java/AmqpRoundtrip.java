import com.rabbitmq.client.*;
import java.util.*;
import java.util.concurrent.*;

/** Publishes N messages with confirms through one node and consumes them through another. */
public class AmqpRoundtrip {
    public static void main(String[] args) throws Exception {
        int n = Integer.parseInt(args[2]);
        ConnectionFactory f = new ConnectionFactory();
        f.setHost(args[0]);
        try (Connection c = f.newConnection()) {
            Channel ch = c.createChannel();
            ch.queueDeclare("java", true, false, false, Map.of("x-queue-type", "quorum"));
            ch.confirmSelect();
            for (int i = 0; i < n; i++) ch.basicPublish("", "java", MessageProperties.PERSISTENT_BASIC, ("message " + i).getBytes());
            ch.waitForConfirmsOrDie(30000);
        }
        f.setHost(args[1]);
        List<String> got = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch all = new CountDownLatch(n);
        try (Connection c = f.newConnection()) {
            Channel ch = c.createChannel();
            ch.basicQos(50);
            ch.basicConsume("java", false, (tag, d) -> {
                got.add(new String(d.getBody()));
                ch.basicAck(d.getEnvelope().getDeliveryTag(), false);
                all.countDown();
            }, tag -> {});
            all.await(60, TimeUnit.SECONDS);
        }
        for (int i = 0; i < n; i++)
            if (i >= got.size() || !got.get(i).equals("message " + i)) throw new AssertionError(got.size() + " messages, or in another order");
        System.out.println(n + " messages read back in order");
        System.exit(0);
    }
}
