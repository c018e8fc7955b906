using System;
using System.Collections.Generic;
using System.Linq;

// What is said of one image; what an app did not say is null.
sealed class Answer
{
    public double[] Logits, Probabilities;
    public string Label;
}

// How far answers are from those of one mistake.
sealed class Distances
{
    public string Says;
    // Of each image whose answer differs from the right one: its place, squared distances to the right answer and to the
    // mistake's, the latter's largest over the limit, and whether the mistake changes that image's answer at all.
    public readonly List<string> Places = new List<string>();
    public readonly List<double> Right = new List<double>(), Wrong = new List<double>(), Far = new List<double>();
    public readonly List<bool> Changes = new List<bool>();
    public int Images, Numbers;
    public int Missed; // images that the mistake changes and whose answers are right
    public int Renamed, OtherwiseNamed, MissedNames;
    public bool IsFinite = true;

    // answers: one an image, in the kit's order.
    public static Distances Of(Mistake mistake, Kit kit, IReadOnlyList<Answer> answers)
    {
        var found = new Distances { Says = mistake.Says };
        foreach (Vector vector in kit.Vectors)
            for (int image = 0; image < vector.Images.Count; ++image)
            {
                List<double[]> rows;
                double[] logits = mistake.Logits.TryGetValue(vector.Name, out rows) ? rows[image] : vector.Images[image].Logits;
                string place = "vector " + vector.Name + ", image " + image;
                found.Add(kit, place, vector.Images[image], logits, answers[found.Images++]);
            }
        return found;
    }

    void Add(Kit kit, string place, Expected expected, double[] wrongLogits, Answer one)
    {
        double[] wrongProbabilities = Row.Softmax(wrongLogits);
        double[] given = one.Logits ?? one.Probabilities;
        if (given != null)
        {
            bool hasLogits = one.Logits != null;
            double[] right = hasLogits ? expected.Logits : expected.Probabilities;
            double[] wrong = hasLogits ? wrongLogits : wrongProbabilities;
            double limit = hasLogits ? kit.MaxLogitDifference : kit.MaxProbabilityDifference;
            ++Numbers;
            IsFinite = IsFinite && !given.Any(value => double.IsNaN(value) || double.IsInfinity(value));
            bool changes = Row.LargestDifference(wrong, right) > limit;
            if (Row.LargestDifference(given, right) > limit)
            {
                Places.Add(place);
                Right.Add(Row.Squares(given, right));
                Wrong.Add(Row.Squares(given, wrong));
                Far.Add(Row.LargestDifference(given, wrong) / limit);
                Changes.Add(changes);
            }
            else if (changes) ++Missed;
        }
        if (one.Label == null || Row.IsTie(wrongProbabilities, kit.TieMargin)) return;
        string theirs = kit.Labels[Row.IndexOfLargest(wrongProbabilities)], name = kit.Labels[expected.Label];
        if (one.Label == theirs && theirs != name) ++Renamed;
        if (one.Label != theirs && one.Label != name) ++OtherwiseNamed;
        if (one.Label == name && theirs != name) ++MissedNames;
    }
}

// Names the mistake whose answers somebody gives.
static class Mistakes
{
    const double Explained = 0.35; // distance from a mistake's answers over that from the right ones, or all in tolerance
    const double Plain = 2; // tolerances: what lies between one and two may be the rounding of another resize

    // What the answers that differ from the right ones are those of, to be added to a line; empty for an older kit.
    public static string In(Kit kit, IReadOnlyList<Answer> answers)
    {
        Distances[] known = kit.Mistakes.Select(mistake => Distances.Of(mistake, kit, answers)).ToArray();
        if (known.Length == 0 || !known[0].IsFinite) return "";
        List<double> right = known[0].Right;
        if (right.Count == 0) return InLabels(known);
        int[] images = Enumerable.Range(0, right.Count).ToArray();
        double all = known[0].Images;

        Distances first = null, second = null;
        double least = 0;
        foreach (Distances one in known)
        {
            double whole = Share(one.Wrong, right, images), score = whole + 0.1 * one.Missed / all;
            bool fits = whole <= Explained || (one.Far.Max() <= 1 && whole < 1);
            if (!fits || (first != null && score >= least)) continue;
            first = one;
            least = score;
        }
        if (first != null)
        {
            // images that it leaves alone, and that differ plainly
            int[] beyond = images.Where(at => !first.Changes[at] && first.Far[at] > Plain).ToArray();
            if (beyond.Length == 0) return "; your answers are " + Nearly(first.Far) + "those of " + first.Says;
            foreach (Distances one in known)
            {
                double part = Share(one.Wrong, right, beyond);
                if (part > Explained || (second != null && part >= least)) continue;
                second = one;
                least = part;
            }
            if (second == null)
                return "; your answers are nearest to those of " + first.Says + ". Something else differs too, first "
                    + first.Places[beyond[0]];
        }
        else
        {
            foreach (Distances one in known)
                foreach (Distances other in known.TakeWhile(before => before != one))
                {
                    double whole = Share(Least(one.Wrong, other.Wrong), right, images);
                    double score = whole + 0.1 * (one.Missed + other.Missed) / all;
                    bool both = ExplainsMore(one, other, images) && ExplainsMore(other, one, images);
                    // two that change the same images are one that is not known
                    bool spared = images.Any(at => Explains(one, at) && !other.Changes[at])
                        || images.Any(at => Explains(other, at) && !one.Changes[at]);
                    if (whole > Explained || !both || !spared || (first != null && score >= least)) continue;
                    first = other;
                    second = one;
                    least = score;
                }
            if (first == null)
                return "; your answers are those of none of the " + known.Length + " mistakes that the kit knows";
        }
        return "; your answers are " + Nearly(Least(first.Far, second.Far)) + "those of two mistakes: " + first.Says
            + ". And: " + second.Says;
    }

    // As In, where no number differs but labels do; those tell less.
    static string InLabels(Distances[] known)
    {
        Distances[] fitting = known.Where(
            one => one.Renamed > 1 && one.OtherwiseNamed == 0 && one.MissedNames == 0).ToArray();
        if (fitting.Length == 1) return "; your answers are those of " + fitting[0].Says;
        return known[0].Numbers > 0
            ? "; the numbers are right, the labels are not: each number has the name at its place in the kit's labels"
            : "; labels alone do not tell the mistake: write probabilities or logits, too";
    }

    // Distance from a mistake's answers over that from the right ones, of some images together.
    static double Share(IReadOnlyList<double> wrong, IReadOnlyList<double> right, int[] among)
    {
        return Math.Sqrt(among.Sum(at => wrong[at]) / among.Sum(at => right[at]));
    }

    static List<double> Least(List<double> one, List<double> other)
    {
        return one.Zip(other, Math.Min).ToList();
    }

    static bool ExplainsMore(Distances one, Distances other, int[] images)
    {
        return images.Any(at => Explains(one, at) && !Explains(other, at));
    }

    static bool Explains(Distances one, int at)
    {
        return one.Far[at] <= 1 || one.Wrong[at] <= Explained * Explained * one.Right[at];
    }

    // Within the limits of every image, or not.
    static string Nearly(IEnumerable<double> far)
    {
        return far.Max() <= 1 ? "" : "nearest to ";
    }
}

static class Row
{
    public static double[] Softmax(double[] logits)
    {
        double largest = logits.Max();
        double[] exponents = logits.Select(logit => Math.Exp(logit - largest)).ToArray();
        double sum = exponents.Sum();
        return exponents.Select(exponent => exponent / sum).ToArray();
    }

    public static double LargestDifference(double[] one, double[] other)
    {
        return one.Zip(other, (mine, theirs) => Math.Abs(mine - theirs)).Max();
    }

    public static double Squares(double[] one, double[] other)
    {
        return one.Zip(other, (mine, theirs) => (mine - theirs) * (mine - theirs)).Sum();
    }

    public static int IndexOfLargest(double[] values)
    {
        return Array.IndexOf(values, values.Max());
    }

    public static bool IsTie(double[] probabilities, double margin)
    {
        double[] sorted = probabilities.OrderByDescending(one => one).ToArray();
        return sorted[0] - sorted[1] <= margin;
    }
}
