// An exported model in C#: its expression for photos of one face each, and whether it answers as Python does.
//
//   dotnet run -- predict MODEL FACE.ppm ...
//   dotnet run -- check KIT MODEL
//   dotnet run -- check KIT --answers FILE     what an app answered, as JSON: the kit's README.md has its form
//
// Exit code 0, or 1 with one line that says why, or 2 where the command was not understood.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Microsoft.ML.OnnxRuntime;

static class Program
{
    // One face, cropped to head and chin: uint8, row by row, red first (or grey, or RGBA).
    static KeyValuePair<string, float> Classify(InferenceSession session, string[] labels, Image face)
    {
        using (var image = OrtValue.CreateTensorValueFromMemory(face.Pixels, face.Shape))
        using (var options = new RunOptions())
        using (var results = session.Run(options, new[] { "image" }, new[] { image }, new[] { "probabilities" }))
        {
            float[] probabilities = results[0].GetTensorDataAsSpan<float>().ToArray();
            int best = Array.IndexOf(probabilities, probabilities.Max());
            return new KeyValuePair<string, float>(labels[best], probabilities[best]);
        }
    }

    static void Predict(string model, IEnumerable<string> paths)
    {
        StartQuietly();
        using (var session = new InferenceSession(File.ReadAllBytes(model)))
        {
            string[] labels = Metadata.LabelsOf(session);
            foreach (string path in paths)
            {
                var best = Classify(session, labels, Image.Read(path));
                Console.WriteLine("{0}: {1} {2:F4}", path, best.Key, best.Value);
            }
        }
    }

    // Errors are said once, by this program. Apart, so that comparing answers needs no onnxruntime.
    static void StartQuietly()
    {
        var settings = new EnvironmentCreationOptions { logLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
        OrtEnv.CreateInstanceWithOptions(ref settings);
    }

    static int Main(string[] arguments)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture; // 0.5, in every country
        Console.OutputEncoding = new UTF8Encoding(false);
        string command = arguments.FirstOrDefault();
        var checker = new Checker();
        try
        {
            if (command == "check" && arguments.Length == 4 && arguments[2] == "--answers")
                Console.WriteLine(Answers.Check(arguments[1], arguments[3]));
            else if (command == "check" && arguments.Length == 3)
            {
                StartQuietly();
                Console.WriteLine(checker.Check(arguments[1], arguments[2]));
            }
            else if (command == "predict" && arguments.Length > 2)
                Predict(arguments[1], arguments.Skip(2));
            else
            {
                Console.Error.WriteLine("usage: predict MODEL FACE.ppm ... | check KIT MODEL | check KIT --answers FILE");
                return 2;
            }
            return 0;
        }
        catch (Exception error)
        {
            Console.Error.WriteLine(command == "check" ? "FAILED: {0}{1}" : "error: {0}", error.Message, checker.OtherFile);
            return 1;
        }
    }
}
