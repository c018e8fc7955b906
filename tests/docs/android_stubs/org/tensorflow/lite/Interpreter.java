package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.util.Map;

public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int threads) { return this; }
    }
    public Interpreter(ByteBuffer model, Options options) {}
    public Tensor getInputTensor(int index) { return null; }
    public Tensor getOutputTensorFromSignature(String name, String signature) { return null; }
    public void runSignature(Map<String, Object> inputs, Map<String, Object> outputs, String signature) {}
    public void close() {}
}
