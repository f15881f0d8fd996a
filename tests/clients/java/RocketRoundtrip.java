import java.util.*;
import java.util.concurrent.*;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.*;
import org.apache.rocketmq.client.producer.*;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Sends N messages by one NameServer and consumes them by another. */
public class RocketRoundtrip {
    public static void main(String[] args) throws Exception {
        int n = Integer.parseInt(args[2]);
        DefaultMQProducer p = new DefaultMQProducer("java-writers");
        p.setNamesrvAddr(args[0]);
        p.start();
        for (int i = 0; i < n; i++) {
            SendResult r = p.send(new Message("RocketJava", ("message " + i).getBytes()));
            if (r.getSendStatus() != SendStatus.SEND_OK) throw new AssertionError(r.toString());
        }
        p.shutdown();
        Set<String> got = ConcurrentHashMap.newKeySet();
        CountDownLatch all = new CountDownLatch(n);
        DefaultMQPushConsumer c = new DefaultMQPushConsumer("java-readers");
        c.setNamesrvAddr(args[1]);
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.subscribe("RocketJava", "*");
        c.registerMessageListener((MessageListenerConcurrently) (ms, ctx) -> {
            for (var m : ms) if (got.add(new String(m.getBody()))) all.countDown();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
        all.await(60, TimeUnit.SECONDS);
        c.shutdown();
        if (got.size() != n) throw new AssertionError(got.size() + " of " + n + " messages");
        System.out.println(n + " messages read back");
        System.exit(0);
    }
}
