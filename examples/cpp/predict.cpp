// The expression in photos of one face each, with an exported model, in C++.
//
//   ./predict MODEL FACE.ppm ...
//
// Reads binary PGM and PPM, which need no library (convert face.jpg face.ppm); with OpenCV, hand over an RGB cv::Mat.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // row by row, red first
};

Image read_image(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string kind;
  Image image;
  int levels = 0;
  stream >> kind >> image.width >> image.height >> levels;
  stream.get();  // the one white space before the pixels
  image.channels = kind == "P6" ? 3 : kind == "P5" ? 1 : 0;
  if (!stream || !image.channels || levels != 255 || image.width < 1 || image.height < 1 ||
      std::max(image.width, image.height) > 65535)
    throw std::runtime_error(path + ": expected a binary PGM or PPM with 8 bits and no comments");
  image.pixels.resize(static_cast<size_t>(image.height * image.width * image.channels));
  stream.read(reinterpret_cast<char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size()));
  if (!stream) throw std::runtime_error(path + ": expected more pixels, found the end of the file");
  return image;
}

// A JSON string in UTF-8, from the quote at `at`, which is left behind the closing one.
std::string json_string(const std::string& text, size_t& at) {
  const auto unit = [&] {
    const auto value = static_cast<uint32_t>(std::stoul(text.substr(at, 4), nullptr, 16));
    at += 4;
    return value;
  };
  std::string found;
  for (++at; text.at(at) != '"';) {
    if (text[at] != '\\') {
      found += text[at++];
      continue;
    }
    const char kind = text.at(at + 1);
    at += 2;
    if (kind != 'u') {
      const std::string from = "bfnrt", to = "\b\f\n\r\t";
      const size_t place = from.find(kind);
      found += place == std::string::npos ? kind : to[place];
      continue;
    }
    uint32_t code = unit();
    if (code >> 10 == 0x36 && text.compare(at, 2, "\\u") == 0) {  // a surrogate pair: one character in two escapes
      at += 2;
      code = 0x10000 + ((code & 0x3FF) << 10) + (unit() & 0x3FF);
    }
    if (code < 0x80) {
      found += static_cast<char>(code);
      continue;
    }
    const int rest = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    found += static_cast<char>((0xFF00 >> (rest + 1) & 0xFF) | code >> (6 * rest));
    for (int shift = 6 * (rest - 1); shift >= 0; shift -= 6) found += static_cast<char>(0x80 | (code >> shift & 0x3F));
  }
  ++at;
  return found;
}

// The model's metadata say which output is which class: "labels", a list of names, in the outermost object.
std::vector<std::string> labels_of(const Ort::Session& session) {
  Ort::AllocatorWithDefaultOptions allocator;
  const auto metadata = session.GetModelMetadata().LookupCustomMetadataMapAllocated("fer_edge.card", allocator);
  const std::string text = metadata ? metadata.get() : "";
  std::vector<std::string> labels;
  int depth = 0;
  bool is_labels = false;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      const std::string found = json_string(text, at);
      if (is_labels) labels.push_back(found);
      else if (depth == 1 && found == "labels") is_labels = text.compare(at, 3, ": [") == 0;
      continue;
    }
    if (text[at] == ']' && is_labels) return labels;
    depth += (text[at] == '{' || text[at] == '[') - (text[at] == '}' || text[at] == ']');
    ++at;
  }
  throw std::runtime_error("expected a model with metadata; export it with fer_edge");
}

std::vector<std::string> labels_in_card(const Ort::Session& session) {
  Ort::AllocatorWithDefaultOptions allocator;
  const auto card = session.GetModelMetadata().LookupCustomMetadataMapAllocated("fer_edge.card", allocator);
  const std::string text = card ? card.get() : "", key = "\"labels\": [";
  const size_t start = text.find(key);
  if (start == std::string::npos) throw std::runtime_error("expected a model with a card; export it with fer_edge");
  std::vector<std::string> labels;
  const size_t end = text.find(']', start);
  for (size_t open = text.find('"', start + key.size()); open < end; open = text.find('"', open)) {
    const size_t close = text.find('"', open + 1);
    labels.push_back(text.substr(open + 1, close - open - 1));
    open = close + 1;
  }
  return labels;
}

std::vector<float> probabilities_of(Ort::Session& session, Image& image) {
  const std::array<int64_t, 4> shape{1, image.height, image.width, image.channels};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const auto feed = Ort::Value::CreateTensor<uint8_t>(memory, image.pixels.data(), image.pixels.size(), shape.data(),
                                                      shape.size());
  const char* inputs[] = {"image"};
  const char* outputs[] = {"probabilities"};
  const auto results = session.Run(Ort::RunOptions{}, inputs, &feed, 1, outputs, 1);
  const float* first = results[0].GetTensorData<float>();
  return {first, first + results[0].GetTensorTypeAndShapeInfo().GetElementCount()};
}

int main(int count, char** arguments) {
  if (count < 3) {
    std::cerr << "usage: predict MODEL FACE.ppm ...\n";
    return 2;
  }
  try {
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR);
    Ort::Session session(env, std::filesystem::path(arguments[1]).c_str(), Ort::SessionOptions{});
    const auto labels = labels_of(session);
    for (int at = 2; at < count; ++at) {
      Image image = read_image(arguments[at]);
      const auto probabilities = probabilities_of(session, image);
      const auto best = std::max_element(probabilities.begin(), probabilities.end());
      std::cout << arguments[at] << ": " << labels.at(best - probabilities.begin()) << ' ' << std::fixed
                << std::setprecision(4) << *best << '\n';
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
