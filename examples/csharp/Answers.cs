using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.Serialization.Json;
using System.Text.RegularExpressions;
using System.Xml;

// What an app answered, as JSON, compared with a kit; needs no onnxruntime.
static class Answers
{
    // The line of figures. Throws with the first difference, and the mistake whose answers they are.
    public static string Check(string folder, string file)
    {
        Kit kit = Kit.Read(Path.Combine(folder, "manifest.txt"));
        List<Answer> answers = Read(file, kit);
        double? worstLogit = null, worstProbability = null;
        string problem = null;
        int images = 0;
        foreach (Vector vector in kit.Vectors)
            for (int image = 0; image < vector.Images.Count; ++image)
            {
                Answer one = answers[images++];
                Expected expected = vector.Images[image];
                string where = "vector " + vector.Name + ", image " + image, right = kit.Labels[expected.Label];
                problem = problem ?? Compare(
                    where, "logits", one.Logits, expected.Logits, kit.MaxLogitDifference, ref worstLogit);
                problem = problem ?? Compare(
                    where, "probabilities", one.Probabilities, expected.Probabilities, kit.MaxProbabilityDifference,
                    ref worstProbability);
                bool isOther = one.Label != null && one.Label != right;
                if (isOther && !Row.IsTie(expected.Probabilities, kit.TieMargin))
                    problem = problem ?? where + ": expected " + right + ", found " + one.Label;
            }
        if (problem != null) throw new InvalidDataException(problem + Mistakes.In(kit, answers));
        string[] figures =
        {
            Figure("logits", worstLogit, kit.MaxLogitDifference),
            Figure("probabilities", worstProbability, kit.MaxProbabilityDifference),
        };
        string told = string.Join(", ", figures.Where(figure => figure != null));
        return "ok: " + kit.Vectors.Count + " vectors, " + images + " images, answers of " + Path.GetFileName(file) + ": "
            + (told == "" ? "labels agree" : told);
    }

    static string Compare(
        string where, string name, double[] found, double[] expected, double limit, ref double? worst)
    {
        if (found == null) return null;
        double difference = Row.LargestDifference(found, expected);
        worst = Math.Max(worst ?? 0, difference);
        return difference <= limit ? null : string.Format("{0}: {1} differ by {2:g3}, allowed {3:g6}", where, name, difference, limit);
    }

    static string Figure(string name, double? worst, double limit)
    {
        return worst == null ? null : string.Format("{0} within {1:g2} (allowed {2:g6})", name, worst, limit);
    }

    // One answer an image, in the kit's order.
    static List<Answer> Read(string file, Kit kit)
    {
        XmlElement raw = Json(file);
        if (Kind(raw) != "object")
            throw new InvalidDataException(
                file + ": expected an object with an entry for each vector, found " + Shown(raw));
        Dictionary<string, XmlElement> entries = Entries(raw);
        foreach (string key in entries.Keys)
            if (kit.Vectors.All(vector => vector.Name != key))
                throw new InvalidDataException(file + ": expected the kit's vectors, found " + Shown(key));
        foreach (Vector vector in kit.Vectors)
            if (!entries.ContainsKey(vector.Name))
                throw new InvalidDataException(
                    file + ": expected all " + kit.Vectors.Count + " vectors, found " + entries.Count + ", none for "
                        + vector.Name);
        var answers = new List<Answer>();
        foreach (Vector vector in kit.Vectors)
        {
            XmlElement entry = entries[vector.Name];
            XmlElement[] given = Kind(entry) == "array" ? Items(entry) : new[] { entry };
            string where = file + ": vector " + vector.Name;
            if (given.Length != vector.Images.Count)
                throw new InvalidDataException(
                    where + ": expected a list of " + vector.Images.Count + " answers, found " + given.Length);
            answers.AddRange(given.Select((one, image) => Of(one, kit.Labels, where + ", image " + image)));
        }
        return answers;
    }

    static Answer Of(XmlElement one, List<string> labels, string where)
    {
        if (Kind(one) != "object")
            throw new InvalidDataException(
                where + ": expected an object with label, probabilities or logits, found " + Shown(one));
        Dictionary<string, XmlElement> entries = Entries(one);
        if (!new[] { "label", "probabilities", "logits" }.Any(entries.ContainsKey))
            throw new InvalidDataException(where + ": expected label, probabilities or logits, found none of them");
        var answer = new Answer();
        XmlElement entry;
        if (entries.TryGetValue("logits", out entry)) answer.Logits = Numbers(entry, labels, where, "logits");
        if (entries.TryGetValue("probabilities", out entry))
            answer.Probabilities = Numbers(entry, labels, where, "probabilities");
        if (entries.TryGetValue("label", out entry))
        {
            if (Kind(entry) != "string" || !labels.Contains(entry.InnerText))
                throw new InvalidDataException(
                    where + ": expected one of the labels " + string.Join(", ", labels) + ", found " + Shown(entry));
            answer.Label = entry.InnerText;
        }
        return answer;
    }

    // A number for each class in the model's order, of a list or an object with the labels as keys.
    static double[] Numbers(XmlElement given, List<string> labels, string where, string name)
    {
        string expected = where + ": expected " + labels.Count + " " + name + ", found ";
        XmlElement[] values;
        if (Kind(given) == "object")
        {
            Dictionary<string, XmlElement> entries = Entries(given);
            foreach (string key in entries.Keys)
                if (!labels.Contains(key))
                    throw new InvalidDataException(
                        where + ": expected the labels " + string.Join(", ", labels) + " in " + name + ", found "
                            + Shown(key));
            foreach (string label in labels)
                if (!entries.ContainsKey(label))
                    throw new InvalidDataException(expected + entries.Count + ", none for " + label);
            values = labels.Select(label => entries[label]).ToArray();
        }
        else if (Kind(given) == "array") values = Items(given);
        else throw new InvalidDataException(expected + Shown(given));
        if (values.Length != labels.Count) throw new InvalidDataException(expected + values.Length);
        foreach (XmlElement one in values)
            if (Kind(one) != "number")
                throw new InvalidDataException(
                    where + ": expected " + name + " that are numbers, found " + Shown(one));
        double[] numbers = values.Select(one => Number(one.InnerText)).ToArray();
        if (numbers.Any(number => !(Math.Abs(number) < 1e30)))
            throw new InvalidDataException(where + ": expected " + name + " below 1e30, found a larger one");
        return numbers;
    }

    static double Number(string text)
    {
        double value;
        return double.TryParse(text, out value) ? value : double.PositiveInfinity; // too large, in older runtimes
    }

    // .NET's reader of JSON gives XML: an element for each value, with its kind as the attribute "type".
    static XmlElement Json(string file)
    {
        byte[] data;
        try
        {
            data = File.ReadAllBytes(file);
        }
        catch (Exception error) when (error is IOException || error is UnauthorizedAccessException)
        {
            throw new InvalidDataException(file + ": cannot be read");
        }
        bool hasMark = data.Length >= 3 && data[0] == 0xEF && data[1] == 0xBB && data[2] == 0xBF; // UTF-8's byte order mark
        if (hasMark) data = data.Skip(3).ToArray();
        try
        {
            using (XmlReader reader = JsonReaderWriterFactory.CreateJsonReader(data, XmlDictionaryReaderQuotas.Max))
            {
                var document = new XmlDocument { PreserveWhitespace = true };
                document.Load(reader);
                foreach (XmlElement one in document.SelectNodes("//*[@type='number']"))
                    if (!Regex.IsMatch(one.InnerText, @"\A-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?\z"))
                        throw new XmlException(one.InnerText);
                if (document.DocumentElement == null) throw new XmlException("nothing");
                return document.DocumentElement;
            }
        }
        catch (Exception error)
        {
            string told = Regex.Replace(error.Message, @"\s+", " ");
            throw new InvalidDataException(
                file + ": expected JSON, found something else: " + told.Substring(0, Math.Min(200, told.Length)));
        }
    }

    static string Kind(XmlElement value)
    {
        return value.HasAttribute("type") ? value.GetAttribute("type") : "string";
    }

    static XmlElement[] Items(XmlElement value)
    {
        return value.ChildNodes.OfType<XmlElement>().ToArray();
    }

    // By key; the last of two is taken. Keys that are no names in XML are in the attribute "item".
    static Dictionary<string, XmlElement> Entries(XmlElement value)
    {
        var entries = new Dictionary<string, XmlElement>();
        foreach (XmlElement one in Items(value))
            entries[one.HasAttribute("item") ? one.GetAttribute("item") : one.LocalName] = one;
        return entries;
    }

    // What was found instead, in a few words of one line.
    static string Shown(XmlElement value)
    {
        string kind = Kind(value);
        if (kind == "string") return Shown(value.InnerText);
        if (kind == "boolean" || kind == "null") return kind == "null" ? kind : value.InnerText;
        return kind == "number" ? "a number" : kind == "array" ? "a list" : "an object";
    }

    static string Shown(string text)
    {
        string line = "";
        for (int at = 0, count = 0; at < text.Length && count < 60; ++count)
        {
            int length = char.IsSurrogatePair(text, at) ? 2 : 1;
            line += text[at] < ' ' || text[at] == 127 ? " " : text.Substring(at, length);
            at += length;
        }
        return "\"" + line + "\"";
    }
}
