package org.example.expressions;

/**
 * A face as the model was trained on: grey, of its size, resized with antialiasing.
 *
 * <p>Bitmap.createScaledBitmap and OpenCV's INTER_LINEAR look at four pixels only, however many lie under one of the
 * result. Of a photo that is made smaller they skip most, and the model answers otherwise. Here each pixel of the result
 * is the mean of all that lie under it, weighted by a triangle, as Pillow's BILINEAR does.
 *
 * <p>In Java, without Android's classes, so that it is tested where there is no phone.
 */
public final class Resize {
    private Resize() {}

    /** Values 0-255, row by row, of pixels as Bitmap.getPixels gives them: 0xAARRGGBB, row by row. */
    public static byte[] greyFace(int[] pixels, int width, int height, int size) {
        int[] grey = new int[pixels.length];
        for (int place = 0; place < pixels.length; place++) {
            int pixel = pixels[place];
            int alpha = pixel >>> 24;
            // Luma of ITU-R BT.601 in whole numbers of 1/65536, rounded.
            int luma =
                    onWhite(pixel >> 16 & 255, alpha) * 19595
                            + onWhite(pixel >> 8 & 255, alpha) * 38470
                            + onWhite(pixel & 255, alpha) * 7471;
            grey[place] = luma + 0x8000 >> 16;
        }
        int[] narrow = resizeRows(grey, width, height, size); // size values in each of height rows
        int[] turned = resizeRows(transposed(narrow, size, height), height, size, size);
        int[] upright = transposed(turned, size, size);
        byte[] face = new byte[upright.length];
        for (int place = 0; place < face.length; place++) {
            face[place] = (byte) upright[place];
        }
        return face;
    }

    /** What is transparent lies on white, as on a page. */
    private static int onWhite(int value, int alpha) {
        return (value * alpha + 255 * (255 - alpha) + 127) / 255;
    }

    /** Each row of width values as size values, rounded to whole numbers as between Pillow's two passes. */
    private static int[] resizeRows(int[] values, int width, int rows, int size) {
        double scale = (double) width / size;
        double support = Math.max(scale, 1); // half the width of the triangle, in pixels of the photo
        int[] made = new int[rows * size];
        for (int column = 0; column < size; column++) {
            double centre = (column + 0.5) * scale;
            int first = Math.max((int) (centre - support + 0.5), 0);
            int end = Math.min((int) (centre + support + 0.5), width);
            double[] weights = new double[end - first];
            double total = 0;
            for (int at = 0; at < weights.length; at++) {
                weights[at] = Math.max(0, 1 - Math.abs((first + at + 0.5 - centre) / support));
                total += weights[at];
            }
            for (int row = 0; row < rows; row++) {
                double sum = 0;
                for (int at = 0; at < weights.length; at++) {
                    sum += weights[at] * values[row * width + first + at];
                }
                made[row * size + column] = Math.min(Math.max((int) (sum / total + 0.5), 0), 255);
            }
        }
        return made;
    }

    private static int[] transposed(int[] values, int width, int rows) {
        int[] made = new int[values.length];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < width; column++) {
                made[column * rows + row] = values[row * width + column];
            }
        }
        return made;
    }
}
