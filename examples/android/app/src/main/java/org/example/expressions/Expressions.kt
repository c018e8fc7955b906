package org.example.expressions

import android.content.res.AssetManager
import android.graphics.Bitmap
import java.io.Closeable
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import org.tensorflow.lite.Interpreter

/** A model that `fer-edge export --format litert` wrote, from the app's assets: `model.tflite` and `labels.txt`. */
class Expressions(assets: AssetManager, threads: Int = 2) : Closeable {
    val labels: List<String> = assets.open("labels.txt").bufferedReader().useLines { it.toList() }
    private val interpreter = Interpreter(mapped(assets, "model.tflite"), Interpreter.Options().setNumThreads(threads))
    private val size: Int = interpreter.getInputTensor(0).shape()[1] // (1, size, size, 1)

    init {
        val classes = interpreter.getOutputTensorFromSignature("probabilities", SIGNATURE).shape()[1]
        require(classes == labels.size) { "expected $classes labels in labels.txt, found ${labels.size}" }
    }

    /** Probability of each label for one upright face, cropped to head and chin. */
    fun probabilities(face: Bitmap): FloatArray {
        val pixels = IntArray(face.width * face.height)
        face.getPixels(pixels, 0, face.width, 0, 0, face.width, face.height)
        val image = ByteBuffer.allocateDirect(size * size).put(Resize.greyFace(pixels, face.width, face.height, size))
        image.rewind()
        val probabilities = Array(1) { FloatArray(labels.size) }
        val logits = Array(1) { FloatArray(labels.size) }
        interpreter.runSignature(
            mapOf("image" to image),
            mapOf("probabilities" to probabilities, "logits" to logits),
            SIGNATURE
        )
        return probabilities[0]
    }

    override fun close() = interpreter.close()

    private companion object {
        const val SIGNATURE = "serving_default"

        fun mapped(assets: AssetManager, name: String): MappedByteBuffer =
            assets.openFd(name).use { file ->
                FileInputStream(file.fileDescriptor).channel.use { channel ->
                    channel.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
                }
            }
    }
}
