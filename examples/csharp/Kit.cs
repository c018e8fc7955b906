using System.Collections.Generic;
using System.IO;
using System.Linq;

sealed class Expected
{
    public int Label; // its index
    public double[] Logits, Probabilities;
}

sealed class Vector
{
    public string Name, File;
    public long[] Shape;
    public readonly List<Expected> Images = new List<Expected>();
}

// A usual mistake of apps, and what it is answered.
sealed class Mistake
{
    public string Says;
    public readonly Dictionary<string, List<double[]>> Logits = new Dictionary<string, List<double[]>>(); // elsewhere right
}

// What a kit's manifest.txt says: a keyword and its values a line.
sealed class Kit
{
    public string File, Sha256, Input, Dtype;
    public string Answer; // of another maker's model, which does not say itself what its classes and output are
    public string[] Outputs;
    public double MaxLogitDifference, MaxProbabilityDifference, TieMargin;
    public readonly List<string> Labels = new List<string>();
    public readonly List<Vector> Vectors = new List<Vector>();
    public readonly List<Mistake> Mistakes = new List<Mistake>();

    public static Kit Read(string path)
    {
        var kit = new Kit();
        foreach (string line in System.IO.File.ReadLines(path))
        {
            string key = line.Split(' ')[0], rest = line.Substring(key.Length).TrimStart();
            string[] words = rest.Split(' ');
            if (key == "model") kit.File = rest;
            else if (key == "sha256") kit.Sha256 = rest;
            else if (key == "input") { kit.Input = words[0]; kit.Dtype = words[1]; }
            else if (key == "answer") kit.Answer = rest;
            else if (key == "outputs") kit.Outputs = words;
            else if (key == "label") kit.Labels.Add(line.Substring(key.Length + 1)); // it may begin with a blank
            else if (key == "max_logit_difference") kit.MaxLogitDifference = double.Parse(rest);
            else if (key == "max_probability_difference") kit.MaxProbabilityDifference = double.Parse(rest);
            else if (key == "tie_margin") kit.TieMargin = double.Parse(rest);
            else if (key == "vector")
                kit.Vectors.Add(new Vector
                {
                    Name = words[0],
                    File = words[1],
                    Shape = words.Skip(2).Select(long.Parse).ToArray(),
                });
            else if (key == "expects")
            {
                double[] values = words.Skip(1).Select(double.Parse).ToArray();
                int classes = values.Length / 2;
                kit.Vectors.Last().Images.Add(new Expected
                {
                    Label = int.Parse(words[0]),
                    Logits = values.Take(classes).ToArray(),
                    Probabilities = values.Skip(classes).ToArray(),
                });
            }
            else if (key == "mistake")
                kit.Mistakes.Add(new Mistake { Says = rest.Substring(words[0].Length + 1) });
            else if (key == "gives")
            {
                var logits = kit.Mistakes.Last().Logits;
                if (!logits.ContainsKey(words[0])) logits[words[0]] = new List<double[]>();
                logits[words[0]].Add(words.Skip(2).Select(double.Parse).ToArray()); // images come in their order
            }
        }
        return kit;
    }
}
