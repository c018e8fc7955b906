"""How other programs call an exported model: the code blocks of its metadata for people."""

import json
from string import Template

from fer_edge.export.formats.registry import format_named
from fer_edge.metadata import ModelMetadata

_PIXELS_PYTHON = Template("""\
# pip install onnxruntime numpy pillow
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

labels = $labels
session = onnxruntime.InferenceSession("$file", providers=["CPUExecutionProvider"])
face = ImageOps.exif_transpose(Image.open("face.jpg")).convert("RGB")  # one face, cropped to head and chin
image = np.asarray(face)[np.newaxis]  # uint8 (1, height, width, 3)
probabilities, logits = session.run(["probabilities", "logits"], {"$input": image})
for label, probability in zip(labels, probabilities[0]):
    print(f"{label:9} {probability:.4f}")
""")

_PIXELS_JAVASCRIPT = Template("""\
// npm install --ignore-scripts onnxruntime-web
import * as ort from "onnxruntime-web";

const labels = $labels;
const session = await ort.InferenceSession.create("$file");
// a canvas that shows one face; its pixels are RGBA, which the model takes as they are
const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
const image = new ort.Tensor("uint8", new Uint8Array(data.buffer), [1, height, width, 4]);
const { probabilities } = await session.run({ $input: image });
const best = probabilities.data.indexOf(Math.max(...probabilities.data));
console.log(labels[best], probabilities.data[best]);
""")

_PIXELS_NODE = Template("""\
// npm install --ignore-scripts onnxruntime-node sharp; save this as face.mjs, then: node face.mjs
import * as ort from "onnxruntime-node";
import sharp from "sharp";

const labels = $labels;
const session = await ort.InferenceSession.create("$file");
const face = sharp("face.jpg").autoOrient().flatten({ background: "white" }); // one face, cropped to head and chin
const { data, info } = await face.toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
const image = new ort.Tensor("uint8", data, [1, info.height, info.width, info.channels]);
const { probabilities } = await session.run({ $input: image });
labels.forEach((label, index) => console.log(label.padEnd(9), probabilities.data[index].toFixed(4)));
""")

_PIXELS_CPP = Template("""\
#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <vector>

struct Expressions {
  Ort::Env env;
  Ort::Session session{env, ORT_TSTR("$file"), Ort::SessionOptions{}};

  // pixels: one face, height x width x 3, RGB (OpenCV gives BGR: convert it first)
  // gives $count values: $label_list
  std::vector<float> probabilities(std::vector<uint8_t>& pixels, int64_t height, int64_t width) {
    const std::array<int64_t, 4> shape{1, height, width, 3};
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    auto image = Ort::Value::CreateTensor<uint8_t>(memory, pixels.data(), pixels.size(), shape.data(), shape.size());
    const char* inputs[] = {"$input"};
    const char* outputs[] = {"probabilities"};
    auto results = session.Run(Ort::RunOptions{}, inputs, &image, 1, outputs, 1);
    const float* first = results[0].GetTensorData<float>();
    return {first, first + $count};
  }
};
""")

_RAW_PYTHON = Template("""\
# pip install onnxruntime numpy pillow
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

labels = $labels
session = onnxruntime.InferenceSession("$file", providers=["CPUExecutionProvider"])
face = ImageOps.exif_transpose(Image.open("face.jpg")).convert("L")  # grey, by luma weights
face = face.resize(($size, $size), Image.Resampling.BILINEAR)  # Pillow's bilinear is antialiased; OpenCV's is not
faces = ((np.asarray(face, np.float32) / 255 - $mean) / $std)[np.newaxis, np.newaxis]  # float32 (1, 1, $size, $size)
(logits,) = session.run(["logits"], {"$input": faces.astype(np.float32)})
probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
for label, probability in zip(labels, probabilities[0]):
    print(f"{label:9} {probability:.4f}")
""")

_RAW_JAVASCRIPT = Template("""\
// npm install --ignore-scripts onnxruntime-web
import * as ort from "onnxruntime-web";

const labels = $labels;
const session = await ort.InferenceSession.create("$file");
// grey: Float32Array of $size * $size values 0-255, resized with antialiasing (a canvas's own scaling is not enough)
const face = new ort.Tensor("float32", grey.map((value) => (value / 255 - $mean) / $std), [1, 1, $size, $size]);
const { logits } = await session.run({ $input: face });
console.log(labels[logits.data.indexOf(Math.max(...logits.data))]);
""")

_RAW_NODE = Template("""\
// npm install --ignore-scripts onnxruntime-node sharp; save this as face.mjs, then: node face.mjs
import * as ort from "onnxruntime-node";
import sharp from "sharp";

const labels = $labels;
const session = await ort.InferenceSession.create("$file");
const face = sharp("face.jpg").autoOrient().flatten({ background: "white" }); // one face, cropped to head and chin
const { data } = await face
  .resize($size, $size, { fit: "fill", kernel: "linear", fastShrinkOnLoad: false }) // antialiased, as Pillow's bilinear
  .toColourspace("srgb")
  .raw()
  .toBuffer({ resolveWithObject: true });
const grey = Float32Array.from({ length: $size * $size }, (_, at) => {
  const [red, green, blue] = data.subarray(3 * at, 3 * at + 3);
  return ((0.299 * red + 0.587 * green + 0.114 * blue) / 255 - $mean) / $std; // luma weights
});
const { logits } = await session.run({ $input: new ort.Tensor("float32", grey, [1, 1, $size, $size]) });
const odds = Array.from(logits.data, (logit) => Math.exp(logit - Math.max(...logits.data)));
const total = odds.reduce((sum, one) => sum + one);
labels.forEach((label, index) => console.log(label.padEnd(9), (odds[index] / total).toFixed(4)));
""")

_RAW_CPP = Template("""\
#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <vector>

struct Expressions {
  Ort::Env env;
  Ort::Session session{env, ORT_TSTR("$file"), Ort::SessionOptions{}};

  // face: $size x $size, each value (grey / 255 - $mean) / $std (to shrink, cv::INTER_AREA)
  // gives $count values: $label_list
  std::vector<float> logits(std::vector<float>& face) {
    const std::array<int64_t, 4> shape{1, 1, $size, $size};
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    auto faces = Ort::Value::CreateTensor<float>(memory, face.data(), face.size(), shape.data(), shape.size());
    const char* inputs[] = {"$input"};
    const char* outputs[] = {"logits"};
    auto results = session.Run(Ort::RunOptions{}, inputs, &faces, 1, outputs, 1);
    const float* first = results[0].GetTensorData<float>();
    return {first, first + $count};
  }
};
""")

_TORCH_PYTHON = Template("""\
# pip install torch numpy pillow. Loading this format runs code from the file: only from a source that you trust.
import numpy as np
import torch
from PIL import Image, ImageOps

labels = $labels
model = $load
face = ImageOps.exif_transpose(Image.open("face.jpg")).convert("RGB")  # one face, cropped to head and chin
image = torch.from_numpy(np.array(face))[None]  # uint8 (1, height, width, 3)
with torch.inference_mode():
    probabilities, logits = model(image)
for label, probability in zip(labels, probabilities[0].tolist()):
    print(f"{label:9} {probability:.4f}")
""")

_ANY_PYTHON = Template("""\
# pip install fer-edge$extra$trusted
import numpy as np
from PIL import Image, ImageOps

from fer_edge.backends import open_model

model = open_model("$file"$trust)
face = ImageOps.exif_transpose(Image.open("face.jpg")).convert("RGB")  # one face, cropped to head and chin
probabilities, logits = model.run(np.asarray(face)[np.newaxis])  # uint8 (1, height, width, 3)
for label, probability in zip(model.metadata.labels, probabilities[0]):
    print(f"{label:9} {probability:.4f}")
""")


def snippets(metadata: ModelMetadata, file_name: str) -> list[tuple[str, str, str]]:
    """Title, language and code of each block for the model ``file_name``."""
    model_format = format_named(metadata.format)
    values = {
        "file": file_name,
        "input": metadata.input.name,
        # JSON's strings are also those of Python and JavaScript, and end a C++ comment's line with a quote
        "labels": json.dumps(metadata.labels, ensure_ascii=False),
        "label_list": json.dumps(metadata.labels, ensure_ascii=False)[1:-1],
        "count": len(metadata.labels),
        "size": metadata.image_size,
        "mean": repr(metadata.mean),
        "std": repr(metadata.std),
    }
    if model_format.torch_loader:
        loader = model_format.torch_loader.format(file=file_name)
        return [("Python", "python", _TORCH_PYTHON.substitute(values, load=loader))]
    if not model_format.for_onnxruntime:
        runs_code = model_format.runs_code
        more = {
            "extra": f"[{model_format.extra}]" if model_format.extra else "",
            "trusted": ". Loading this format runs code from the file: only from a source that you trust."
            if runs_code
            else "",
            "trust": ", trust=True" if runs_code else "",
        }
        return [("Python", "python", _ANY_PYTHON.substitute(values, **more))]
    raw = metadata.input.kind == "normalised"
    templates = (
        (_RAW_PYTHON, _RAW_JAVASCRIPT, _RAW_NODE, _RAW_CPP)
        if raw
        else (_PIXELS_PYTHON, _PIXELS_JAVASCRIPT, _PIXELS_NODE, _PIXELS_CPP)
    )
    titles = (("Python", "python"), ("JavaScript, in a browser", "js"), ("Node", "mjs"), ("C++", "cpp"))
    return [
        (title, language, template.substitute(values))
        for (title, language), template in zip(titles, templates, strict=True)
    ]
