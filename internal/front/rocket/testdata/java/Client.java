import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import org.apache.rocketmq.client.consumer.*;
import org.apache.rocketmq.client.consumer.listener.*;
import org.apache.rocketmq.client.producer.*;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.*;
import org.apache.rocketmq.client.QueryResult;

/** Uses a broker in every way that the scenarios below name; exit status 1 where one fails. */
public class Client {
    static String servers;
    static final String run = Long.toString(System.currentTimeMillis(), 36);
    static DefaultMQProducer producer;

    interface Scenario { void run() throws Exception; }

    public static void main(String[] args) throws Exception {
        servers = args[0];
        Map<String, Scenario> all = new LinkedHashMap<>();
        all.put("send", Client::send);
        all.put("batch", Client::batch);
        all.put("orderly", Client::orderly);
        all.put("tags", Client::tags);
        all.put("balance", Client::balance);
        all.put("broadcast", Client::broadcast);
        all.put("retry", Client::retry);
        all.put("delay", Client::delay);
        all.put("transaction", Client::transaction);
        all.put("query", Client::query);
        all.put("litepull", Client::litePull);
        all.put("request", Client::request);
        all.put("admin", Client::createTopic);
        List<String> wanted = args.length > 1 ? Arrays.asList(args).subList(1, args.length) : new ArrayList<>(all.keySet());
        producer = new DefaultMQProducer("pg" + run);
        producer.setNamesrvAddr(servers);
        producer.start();
        int failed = 0;
        for (String name : wanted) {
            long start = System.currentTimeMillis();
            try {
                all.get(name).run();
                System.out.println("ok   " + name + " " + (System.currentTimeMillis() - start) + " ms");
            } catch (Throwable t) {
                failed++;
                System.out.println("FAIL " + name + ": " + t);
                t.printStackTrace(System.out);
            }
        }
        producer.shutdown();
        System.out.println(failed == 0 ? "PASS" : "FAILED " + failed);
        System.exit(failed == 0 ? 0 : 1);
    }

    static byte[] bytes(String s) { return s.getBytes(StandardCharsets.UTF_8); }
    static String text(Message m) { return new String(m.getBody(), StandardCharsets.UTF_8); }
    static String topic(String name) { return name + "-" + run; }

    static void check(boolean ok, String what) { if (!ok) throw new AssertionError(what); }

    static void await(String what, Callable<Boolean> ok) throws Exception {
        for (long end = System.currentTimeMillis() + 40_000; !ok.call(); Thread.sleep(20))
            if (System.currentTimeMillis() > end) throw new AssertionError("waited in vain for " + what);
    }

    static class Got extends ConcurrentHashMap<String, AtomicInteger> {
        void add(String body) { computeIfAbsent(body, b -> new AtomicInteger()).incrementAndGet(); }
        boolean once() { return values().stream().allMatch(n -> n.get() == 1); }
    }

    static final AtomicInteger instances = new AtomicInteger();

    static DefaultMQPushConsumer consumer(String group, String topic, String tags) throws Exception {
        DefaultMQPushConsumer c = new DefaultMQPushConsumer(group);
        c.setNamesrvAddr(servers);
        c.setInstanceName("i" + instances.incrementAndGet());
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.subscribe(topic, tags);
        return c;
    }

    static DefaultMQPushConsumer collect(String group, String topic, String tags, Got got) throws Exception {
        DefaultMQPushConsumer c = consumer(group, topic, tags);
        c.registerMessageListener((MessageListenerConcurrently) (ms, ctx) -> {
            for (MessageExt m : ms) got.add(text(m));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
        return c;
    }

    static void send() throws Exception {
        String t = topic("send");
        for (int i = 0; i < 20; i++) {
            Message m = new Message(t, "a", "k" + i, bytes("sync " + i));
            m.putUserProperty("colour", "grün");
            SendResult r = producer.send(m);
            check(r.getSendStatus() == SendStatus.SEND_OK && r.getOffsetMsgId() != null, "result " + r);
        }
        producer.send(new Message(t, bytes("long " + "x".repeat(20_000))));
        for (int i = 0; i < 5; i++) producer.sendOneway(new Message(t, bytes("oneway " + i)));
        CountDownLatch async = new CountDownLatch(5);
        for (int i = 0; i < 5; i++)
            producer.send(new Message(t, bytes("async " + i)), new SendCallback() {
                public void onSuccess(SendResult r) { async.countDown(); }
                public void onException(Throwable e) { e.printStackTrace(); }
            });
        check(async.await(10, TimeUnit.SECONDS), "async sends");
        Got got = new Got();
        AtomicReference<MessageExt> one = new AtomicReference<>();
        DefaultMQPushConsumer c = consumer("send" + run, t, "*");
        c.registerMessageListener((MessageListenerConcurrently) (ms, ctx) -> {
            for (MessageExt m : ms) { got.add(text(m)); if (text(m).equals("sync 3")) one.set(m); }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
        await("31 messages", () -> got.size() == 31);
        check(got.once(), "messages came twice: " + got);
        MessageExt m = one.get();
        check("k3".equals(m.getKeys()) && "a".equals(m.getTags()) && "grün".equals(m.getUserProperty("colour")), "properties " + m);
        c.shutdown();
    }

    static void batch() throws Exception {
        String t = topic("batch");
        List<Message> ms = new ArrayList<>();
        for (int i = 0; i < 10; i++) ms.add(new Message(t, "b", "bk" + i, bytes("batch " + i)));
        SendResult r = producer.send(ms);
        check(r.getSendStatus() == SendStatus.SEND_OK && r.getMsgId().split(",").length == 10, "result " + r);
        Got got = new Got();
        DefaultMQPushConsumer c = collect("batch" + run, t, "b", got);
        await("the batch", () -> got.size() == 10);
        check(got.once(), "twice: " + got);
        c.shutdown();
    }

    static void orderly() throws Exception {
        String t = topic("orderly");
        for (int i = 0; i < 60; i++) {
            Message m = new Message(t, bytes(i % 3 + " " + i / 3));
            producer.send(m, (mqs, msg, arg) -> mqs.get((Integer) arg % mqs.size()), i % 3);
        }
        Map<String, List<Integer>> got = new ConcurrentHashMap<>();
        AtomicInteger n = new AtomicInteger();
        List<DefaultMQPushConsumer> cs = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer c = consumer("orderly" + run, t, "*");
            c.registerMessageListener((MessageListenerOrderly) (ms, ctx) -> {
                for (MessageExt m : ms) {
                    String[] p = text(m).split(" ");
                    got.computeIfAbsent(p[0], k -> Collections.synchronizedList(new ArrayList<>())).add(Integer.parseInt(p[1]));
                    n.incrementAndGet();
                }
                return ConsumeOrderlyStatus.SUCCESS;
            });
            c.start();
            cs.add(c);
        }
        await("60 ordered messages", () -> n.get() >= 60);
        for (List<Integer> l : got.values())
            for (int i = 0; i < l.size(); i++) check(l.get(i) == i, "order " + l);
        for (DefaultMQPushConsumer c : cs) c.shutdown();
    }

    static void tags() throws Exception {
        String t = topic("tags");
        for (String tag : new String[]{"a", "b", "c", "a"}) producer.send(new Message(t, tag, bytes("tag " + tag + System.nanoTime())));
        Got got = new Got();
        DefaultMQPushConsumer c = collect("tags" + run, t, "b || c", got);
        await("two tagged messages", () -> got.size() == 2);
        producer.send(new Message(t, "b", bytes("later")));
        producer.send(new Message(t, "a", bytes("not wanted")));
        await("the third", () -> got.containsKey("later"));
        Thread.sleep(300);
        check(got.size() == 3, "got " + got);
        c.shutdown();
    }

    static void balance() throws Exception {
        String t = topic("balance"), g = "balance" + run;
        producer.send(new Message(t, bytes("first")));
        Got a = new Got(), b = new Got();
        DefaultMQPushConsumer ca = collect(g, t, "*", a), cb = collect(g, t, "*", b);
        AtomicInteger sent = new AtomicInteger();
        await("messages at both", () -> {
            for (int i = 0; i < 12; i++) producer.send(new Message(t, bytes("m" + sent.incrementAndGet())));
            Thread.sleep(100);
            return !a.isEmpty() && !b.isEmpty();
        });
        ca.shutdown();
        int before = sent.get();
        for (int i = 0; i < 24; i++) producer.send(new Message(t, bytes("m" + sent.incrementAndGet())));
        await("all", () -> { Set<String> all = new HashSet<>(a.keySet()); all.addAll(b.keySet()); return all.size() == sent.get() + 1; });
        check(b.size() >= sent.get() - before, "the one who stayed got " + b.size());
        cb.shutdown();
    }

    static void broadcast() throws Exception {
        String t = topic("broadcast");
        producer.send(new Message(t, bytes("first")));
        Got a = new Got(), b = new Got();
        List<DefaultMQPushConsumer> cs = new ArrayList<>();
        for (Got got : List.of(a, b)) {
            DefaultMQPushConsumer c = consumer("broadcast" + run, t, "*");
            broadcasting(c);
            c.registerMessageListener((MessageListenerConcurrently) (ms, ctx) -> {
                for (MessageExt m : ms) got.add(text(m));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            c.start();
            cs.add(c);
        }
        for (int i = 0; i < 10; i++) producer.send(new Message(t, bytes("b" + i)));
        await("all at both", () -> a.size() == 11 && b.size() == 11);
        for (DefaultMQPushConsumer c : cs) c.shutdown();
    }

    /** The model's class has moved between the versions of the client. */
    static void broadcasting(DefaultMQPushConsumer c) throws Exception {
        for (java.lang.reflect.Method m : c.getClass().getMethods())
            if (m.getName().equals("setMessageModel"))
                for (Object o : m.getParameterTypes()[0].getEnumConstants())
                    if (o.toString().equals("BROADCASTING")) m.invoke(c, o);
    }

    static void retry() throws Exception {
        String t = topic("retry"), g = "retry" + run;
        producer.send(new Message(t, bytes("again")));
        producer.send(new Message(t, bytes("hopeless")));
        AtomicInteger times = new AtomicInteger(-1);
        DefaultMQPushConsumer c = consumer(g, t, "*");
        c.setMaxReconsumeTimes(2);
        c.registerMessageListener((MessageListenerConcurrently) (ms, ctx) -> {
            ctx.setDelayLevelWhenNextConsume(1);
            for (MessageExt m : ms) {
                check(m.getTopic().equals(t), "topic " + m.getTopic());
                if (text(m).equals("hopeless") || m.getReconsumeTimes() == 0) return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                times.set(m.getReconsumeTimes());
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
        await("the second try", () -> times.get() == 1);
        Got dead = new Got();
        await("a dead letter", () -> {
            try { return !producer.fetchPublishMessageQueues("%DLQ%" + g).isEmpty(); } catch (Exception e) { return false; }
        });
        DefaultMQPushConsumer d = collect("dead" + run, "%DLQ%" + g, "*", dead);
        await("it read", () -> dead.containsKey("hopeless"));
        c.shutdown();
        d.shutdown();
    }

    static void delay() throws Exception {
        String t = topic("delay");
        Map<String, Long> at = new ConcurrentHashMap<>();
        producer.send(new Message(t, bytes("now")));
        DefaultMQPushConsumer c = consumer("delay" + run, t, "*");
        c.registerMessageListener((MessageListenerConcurrently) (ms, ctx) -> {
            for (MessageExt m : ms) at.put(text(m), System.currentTimeMillis());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
        await("the one without delay", () -> at.containsKey("now"));
        long sent = System.currentTimeMillis();
        for (int level = 1; level <= 2; level++) {
            Message m = new Message(t, bytes("level " + level));
            m.setDelayTimeLevel(level);
            producer.send(m);
        }
        await("both levels", () -> at.size() == 3);
        long one = at.get("level 1") - sent, two = at.get("level 2") - sent;
        check(one >= 950 && one < 3000 && two >= 4950 && two < 8000, "after " + one + " and " + two + " ms");
        c.shutdown();
    }

    static void transaction() throws Exception {
        String t = topic("tx");
        TransactionMQProducer p = new TransactionMQProducer("tx" + run);
        p.setNamesrvAddr(servers);
        AtomicInteger checks = new AtomicInteger();
        p.setTransactionListener(new TransactionListener() {
            public LocalTransactionState executeLocalTransaction(Message m, Object arg) {
                switch (text(m)) {
                    case "commit": return LocalTransactionState.COMMIT_MESSAGE;
                    case "rollback": return LocalTransactionState.ROLLBACK_MESSAGE;
                    default: return LocalTransactionState.UNKNOW;
                }
            }
            public LocalTransactionState checkLocalTransaction(MessageExt m) {
                checks.incrementAndGet();
                return text(m).equals("later") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        });
        p.start();
        Got got = new Got();
        producer.send(new Message(t, bytes("plain")));
        DefaultMQPushConsumer c = collect("txc" + run, t, "*", got);
        for (String b : new String[]{"commit", "rollback", "later", "never"}) {
            TransactionSendResult r = p.sendMessageInTransaction(new Message(t, bytes(b)), null);
            check(r.getSendStatus() == SendStatus.SEND_OK && r.getTransactionId() != null, "result " + r);
        }
        await("what was committed", () -> got.containsKey("commit") && got.containsKey("plain"));
        await("what was checked", () -> got.containsKey("later"));
        Thread.sleep(500);
        check(got.size() == 3 && got.once() && checks.get() >= 2, "got " + got + ", checks " + checks);
        c.shutdown();
        p.shutdown();
    }

    static void query() throws Exception {
        String t = topic("query");
        SendResult r = null;
        for (int i = 0; i < 5; i++) r = producer.send(new Message(t, "q", "key" + i + " common", bytes("q" + i)));
        MessageExt m = producer.viewMessage(t, r.getOffsetMsgId());
        check(text(m).equals("q4"), "by offset id: " + m);
        m = producer.viewMessage(t, r.getMsgId());
        check(text(m).equals("q4"), "by unique id: " + m);
        QueryResult q = producer.queryMessage(t, "common", 10, System.currentTimeMillis() - 60_000, System.currentTimeMillis() + 1000);
        check(q.getMessageList().size() == 5, "by key: " + q.getMessageList().size());
    }

    static void litePull() throws Exception {
        String t = topic("litepull");
        for (int i = 0; i < 10; i++) producer.send(new Message(t, bytes("l" + i)));
        DefaultLitePullConsumer c = new DefaultLitePullConsumer("litepull" + run);
        c.setNamesrvAddr(servers);
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.subscribe(t, "*");
        c.start();
        Got got = new Got();
        await("ten messages", () -> { for (MessageExt m : c.poll(500)) got.add(text(m)); return got.size() == 10; });
        c.shutdown();
    }

    static void request() throws Exception {
        String t = topic("request");
        producer.send(new Message(t, bytes("first")));
        DefaultMQProducer replies = new DefaultMQProducer("replies" + run);
        replies.setNamesrvAddr(servers);
        replies.setInstanceName("replies");
        replies.start();
        DefaultMQPushConsumer c = consumer("request" + run, t, "*");
        c.registerMessageListener((MessageListenerConcurrently) (ms, ctx) -> {
            for (MessageExt m : ms) {
                if (m.getProperty(MessageConst.PROPERTY_MESSAGE_REPLY_TO_CLIENT) == null) continue;
                try {
                    replies.send(org.apache.rocketmq.client.utils.MessageUtil.createReplyMessage(m, bytes("re: " + text(m))));
                } catch (Exception e) { e.printStackTrace(); }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
        // The other forms of request return in 5.3.3 as soon as the question was sent, without a reply.
        CompletableFuture<Message> reply = new CompletableFuture<>();
        producer.request(new Message(t, bytes("question")), (mqs, m, arg) -> mqs.get(0), null, new RequestCallback() {
            public void onSuccess(Message m) { reply.complete(m); }
            public void onException(Throwable e) { reply.completeExceptionally(e); }
        }, 10_000);
        check(text(reply.get(15, TimeUnit.SECONDS)).equals("re: question"), "reply " + reply);
        c.shutdown();
        replies.shutdown();
    }

    static void createTopic() throws Exception {
        String t = topic("created");
        java.lang.reflect.Method four = null;
        for (java.lang.reflect.Method m : producer.getClass().getMethods())
            if (m.getName().equals("createTopic") && m.getParameterCount() >= 3 && m.getParameterTypes()[2] == int.class)
                if (four == null || m.getParameterCount() < four.getParameterCount()) four = m;
        if (four.getParameterCount() == 3) four.invoke(producer, "TBW102", t, 2);
        else four.invoke(producer, "TBW102", t, 2, new HashMap<String, String>());
        SendResult r = producer.send(new Message(t, bytes("x")));
        check(r.getSendStatus() == SendStatus.SEND_OK, "result " + r);
        MessageQueue q = r.getMessageQueue();
        check(producer.maxOffset(q) == 1 && producer.minOffset(q) == 0, "offsets");
        check(producer.earliestMsgStoreTime(q) > 0 && producer.searchOffset(q, 0) == 0, "times");
    }
}
