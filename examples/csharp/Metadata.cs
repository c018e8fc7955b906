using System.IO;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
using Microsoft.ML.OnnxRuntime;

// What the model says about itself, in JSON; more is in it.
[DataContract]
sealed class Metadata
{
    [DataMember(Name = "labels")]
    public string[] Labels = null; // which output is which class

    public static string[] LabelsOf(InferenceSession session)
    {
        string text;
        if (!session.ModelMetadata.CustomMetadataMap.TryGetValue("fer_edge.card", out text))
            throw new InvalidDataException("expected a model with metadata; export it with fer_edge");
        using (var stream = new MemoryStream(Encoding.UTF8.GetBytes(text)))
            return ((Metadata)new DataContractJsonSerializer(typeof(Metadata)).ReadObject(stream)).Labels;
    }
}
