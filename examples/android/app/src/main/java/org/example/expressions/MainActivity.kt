package org.example.expressions

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.MediaStore
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import java.util.Locale
import java.util.concurrent.Executors

/** Names the expression of a photo that the user picks. */
class MainActivity : Activity() {
    private lateinit var expressions: Expressions
    private lateinit var picture: ImageView
    private lateinit var answer: TextView
    private val worker = Executors.newSingleThreadExecutor() // one run at a time, not on the thread that draws

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        expressions = Expressions(assets)
        picture = ImageView(this).apply { adjustViewBounds = true }
        answer = TextView(this).apply { textSize = 20f }
        val choose = Button(this).apply {
            text = "Choose a photo of one face"
            setOnClickListener {
                startActivityForResult(Intent(Intent.ACTION_GET_CONTENT).setType("image/*"), CHOOSE)
            }
        }
        setContentView(
            LinearLayout(this).apply {
                orientation = LinearLayout.VERTICAL
                setPadding(48, 96, 48, 48)
                listOf(choose, answer, picture).forEach { addView(it) }
            }
        )
    }

    @Deprecated("Deprecated in Java")
    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        super.onActivityResult(request, result, data)
        val chosen = data?.data ?: return
        if (request == CHOOSE && result == RESULT_OK) worker.execute { show(chosen) }
    }

    private fun show(uri: Uri) {
        val told = try {
            val photo = opened(uri)
            runOnUiThread { picture.setImageBitmap(photo) }
            val found = expressions.probabilities(photo)
            found.indices.sortedByDescending { found[it] }
                .joinToString("\n") { String.format(Locale.ROOT, "%s %.4f", expressions.labels[it], found[it]) }
        } catch (error: Exception) {
            "This photo cannot be read: ${error.message}"
        }
        runOnUiThread { answer.text = told }
    }

    /** Upright, in memory that getPixels can read. A photo of more than 16 megapixels should be cropped to its face first. */
    private fun opened(uri: Uri): Bitmap =
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.P) {
            ImageDecoder.decodeBitmap(ImageDecoder.createSource(contentResolver, uri)) { decoder, _, _ ->
                decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
                decoder.isMutableRequired = false
            }
        } else {
            @Suppress("DEPRECATION") // which does not turn a photo by its EXIF orientation
            MediaStore.Images.Media.getBitmap(contentResolver, uri)
        }

    override fun onDestroy() {
        worker.execute { expressions.close() }
        worker.shutdown()
        super.onDestroy()
    }

    private companion object {
        const val CHOOSE = 1
    }
}
