using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using Microsoft.ML.OnnxRuntime;

// Does this build of onnxruntime give a model's golden answers?
sealed class Checker
{
    public string OtherFile = ""; // what to add to a failure: that the file is not the kit's, and the mistake

    // One line of figures. Throws with the first vector that differs and by how much.
    public string Check(string folder, string path)
    {
        Kit kit = Kit.Read(Path.Combine(folder, "manifest.txt"));
        byte[] model = File.ReadAllBytes(path);
        string sha256 = Sha256Of(model);
        if (sha256 != kit.Sha256) OtherFile = "; the file is not the kit's " + kit.File + ": SHA-256 " + sha256;
        double worstLogit = 0, worstProbability = 0;
        int images = 0;
        string problem = null;
        var answers = new List<Answer>();
        using (var session = new InferenceSession(model))
        {
            IReadOnlyList<string> labels = kit.Answer == null ? Metadata.LabelsOf(session) : kit.Labels.ToArray();
            foreach (Vector vector in kit.Vectors)
            {
                List<float[]> results = Run(session, kit, vector, File.ReadAllBytes(Path.Combine(folder, vector.File)));
                for (int image = 0; image < vector.Images.Count; ++image, ++images)
                {
                    Expected expected = vector.Images[image];
                    string where = "vector " + vector.Name + ", image " + image;
                    double[] logits = null, probabilities = null;
                    for (int output = 0; output < results.Count; ++output)
                    {
                        int columns = results[output].Length / vector.Images.Count;
                        double[] row = results[output].Skip(columns * image).Take(columns).Select(one => (double)one).ToArray();
                        if (kit.Outputs[output] == "logits" || kit.Answer == "logits") logits = row;
                        else probabilities = row;
                    }
                    logits = logits ?? probabilities.Select(one => Math.Log(Math.Max(one, Math.Pow(2, -126)))).ToArray();
                    probabilities = probabilities ?? Row.Softmax(logits);
                    worstLogit = Math.Max(worstLogit, Compare(
                        ref problem, where, "logits", logits, expected.Logits, kit.MaxLogitDifference));
                    worstProbability = Math.Max(worstProbability, Compare(
                        ref problem, where, "probabilities", probabilities, expected.Probabilities,
                        kit.MaxProbabilityDifference));
                    int best = Row.IndexOfLargest(probabilities);
                    answers.Add(new Answer { Logits = logits, Label = labels[best] });
                    if (best != expected.Label && !Row.IsTie(expected.Probabilities, kit.TieMargin))
                        problem = problem ?? where + ": expected " + kit.Labels[expected.Label] + ", found " + kit.Labels[best];
                }
            }
            if (problem != null)
            {
                OtherFile += Mistakes.In(kit, answers);
                throw new InvalidDataException(problem);
            }
            if (!labels.SequenceEqual(kit.Labels))
                throw new InvalidDataException(
                    "expected the labels " + string.Join(", ", kit.Labels) + ", found " + string.Join(", ", labels));
        }
        if (OtherFile != "") throw new InvalidDataException("all vectors agree");
        return string.Format(
            "ok: {0} vectors, {1} images, onnxruntime {2}: logits within {3:g2} (allowed {4:g6}), "
                + "probabilities within {5:g2} (allowed {6:g6})",
            kit.Vectors.Count, images, OrtEnv.Instance().GetVersionString(), worstLogit, kit.MaxLogitDifference,
            worstProbability, kit.MaxProbabilityDifference);
    }

    // The values of each output for the bytes of a vector.
    static List<float[]> Run(InferenceSession session, Kit kit, Vector vector, byte[] bytes)
    {
        using (OrtValue feed = kit.Dtype == "uint8" ? OrtValue.CreateTensorValueFromMemory(bytes, vector.Shape)
                                                    : OrtValue.CreateTensorValueFromMemory(Floats(bytes), vector.Shape))
        using (var options = new RunOptions())
        using (var results = session.Run(options, new[] { kit.Input }, new[] { feed }, kit.Outputs))
            return results.Select(result => result.GetTensorDataAsSpan<float>().ToArray()).ToList();
    }

    static float[] Floats(byte[] bytes)
    {
        var values = new float[bytes.Length / sizeof(float)];
        Buffer.BlockCopy(bytes, 0, values, 0, bytes.Length);
        return values;
    }

    static string Sha256Of(byte[] data)
    {
        using (var hash = SHA256.Create())
            return string.Concat(hash.ComputeHash(data).Select(one => one.ToString("x2")));
    }

    // The largest difference; the first that is above its limit becomes the problem.
    static double Compare(
        ref string problem, string where, string name, double[] found, double[] expected, double limit)
    {
        if (found.Length != expected.Length)
            throw new InvalidDataException(
                where + ": expected " + expected.Length + " " + name + ", found " + found.Length);
        double worst = 0;
        for (int at = 0; at < found.Length; ++at)
            worst = Math.Max(worst, Math.Abs(found[at] - expected[at])); // NaN stays
        if (!(worst <= limit)) // written so that NaN fails
            problem = problem ?? string.Format("{0}: {1} differ by {2:g3}, allowed {3:g6}", where, name, worst, limit);
        return worst;
    }
}
