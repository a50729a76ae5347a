// Writes batches with Kafka's own record classes, for kafka.test.ts to read. Argument: the folder to write into.
// The records follow the same rules as `expectedRecords` there.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;

public final class WriteBatches {
  private static final int RECORDS = 500;
  private static final long BASE_OFFSET = 9_000_000_000L;
  private static final long BASE_TIMESTAMP_MS = 1_700_000_000_000L;
  private static final long APPEND_TIME_MS = 1_800_000_000_000L;

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    for (CompressionType type : CompressionType.values()) {
      Files.write(folder.resolve(type.name + ".log"), data(type, TimestampType.CREATE_TIME, false));
    }
    Files.write(folder.resolve("append-time.log"), data(CompressionType.GZIP, TimestampType.LOG_APPEND_TIME, false));
    Files.write(folder.resolve("transaction.log"), data(CompressionType.NONE, TimestampType.CREATE_TIME, true));
    MemoryRecords marker = MemoryRecords.withEndTransactionMarker(
        BASE_OFFSET, BASE_TIMESTAMP_MS, 3, 1234567890123L, (short) 7,
        new EndTransactionMarker(ControlRecordType.COMMIT, 5));
    Files.write(folder.resolve("control.log"), bytes(marker));
  }

  private static byte[] data(CompressionType type, TimestampType timestampType, boolean isTransactional) {
    long producerId = isTransactional ? 1234567890123L : RecordBatch.NO_PRODUCER_ID;
    short epoch = isTransactional ? (short) 7 : RecordBatch.NO_PRODUCER_EPOCH;
    int sequence = isTransactional ? 42 : RecordBatch.NO_SEQUENCE;
    MemoryRecordsBuilder builder = MemoryRecords.builder(
        ByteBuffer.allocate(1 << 20), RecordBatch.MAGIC_VALUE_V2, Compression.of(type).build(), timestampType,
        BASE_OFFSET, APPEND_TIME_MS, producerId, epoch, sequence, isTransactional, 3);
    for (int i = 0; i < RECORDS; i++) {
      long timestamp = BASE_TIMESTAMP_MS + (i % 2 == 0 ? i * 37L : -i * 100_000_000L);
      byte[] key = i % 3 == 0 ? null : utf8("key-" + i);
      byte[] value = i % 5 == 0 ? null : utf8("värde ".repeat(i));
      builder.append(timestamp, key, value, headers(i));
    }
    return bytes(builder.build());
  }

  private static Header[] headers(int i) {
    List<Header> headers = new ArrayList<>();
    for (int k = 0; k < (i % 100 == 1 ? 300 : i % 4); k++) {
      headers.add(new RecordHeader("name-" + k, k % 2 == 0 ? utf8("value " + i) : null));
    }
    return headers.toArray(new Header[0]);
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] bytes(MemoryRecords records) {
    ByteBuffer buffer = records.buffer();
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    return bytes;
  }
}
