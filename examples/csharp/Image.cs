using System;
using System.IO;
using System.Linq;

// A binary PGM or PPM, which needs no library (convert face.jpg face.ppm). An app hands over its own pixels.
sealed class Image
{
    public long[] Shape; // 1, height, width, channels
    public byte[] Pixels; // row by row, red first

    public static Image Read(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        var words = new string[4]; // kind, width, height, levels
        int at = 0;
        for (int word = 0; word < words.Length; ++word)
        {
            while (at < file.Length && char.IsWhiteSpace((char)file[at])) ++at;
            int start = at;
            while (at < file.Length && at - start < 6 && !char.IsWhiteSpace((char)file[at])) ++at;
            words[word] = new string(file.Skip(start).Take(at - start).Select(one => (char)one).ToArray());
        }
        int channels = words[0] == "P6" ? 3 : words[0] == "P5" ? 1 : 0;
        int width, height;
        bool isRead = int.TryParse(words[1], out width) & int.TryParse(words[2], out height);
        if (channels == 0 || !isRead || words[3] != "255" || Math.Min(width, height) < 1 || Math.Max(width, height) > 65535)
            throw new InvalidDataException(path + ": expected a binary PGM or PPM with 8 bits and no comments");
        byte[] pixels = file.Skip(at + 1).ToArray(); // behind the one white space
        if (pixels.LongLength < (long)width * height * channels)
            throw new InvalidDataException(path + ": expected more pixels, found the end of the file");
        Array.Resize(ref pixels, width * height * channels);
        return new Image { Shape = new long[] { 1, height, width, channels }, Pixels = pixels };
    }
}
