// Does this build of onnxruntime give a model's golden answers? onnxruntime's C++ API and the standard library.
//
//   g++ -std=c++17 check.cpp -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime -Wl,-rpath,ONNXRUNTIME/lib -o check
//   ./check KIT MODEL
//
// Exit code 0 with one line of figures, or 1 with one line that names the first vector that differs and by how much.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;

struct Expected {
  size_t label = 0;  // its index
  std::vector<double> logits, probabilities;
};
struct Vector {
  std::string name, file;
  std::vector<int64_t> shape;
  std::vector<Expected> images;
};
struct Mistake {
  std::string name, says;
  std::map<std::string, std::map<size_t, std::vector<double>>> logits;  // by vector and image; elsewhere the right ones
};
struct Answer {
  std::vector<double> logits;
  std::string label;
};
struct Kit {  // what manifest.txt says
  std::string file, sha256, input, dtype;
  std::string answer;  // of another maker's model, which does not say itself what its classes and output are
  std::vector<std::string> outputs, labels;
  double max_logit_difference = 0, max_probability_difference = 0, tie_margin = 0;
  std::vector<Vector> vectors;
  std::vector<Mistake> mistakes;
};

Bytes read_bytes(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(path.string() + ": cannot be opened");
  return Bytes(std::istreambuf_iterator<char>(stream), {});
}

template <class T>
std::vector<T> rest_of(std::istringstream& line) {
  return {std::istream_iterator<T>(line), {}};
}

Kit read_kit(const fs::path& path) {
  std::ifstream stream(path);
  if (!stream) throw std::runtime_error(path.string() + ": cannot be opened");
  Kit kit;
  for (std::string text, key; std::getline(stream, text);) {
    std::istringstream line(text);
    line >> key >> std::ws;
    if (key == "model") std::getline(line, kit.file);
    else if (key == "sha256") line >> kit.sha256;
    else if (key == "input") line >> kit.input >> kit.dtype;
    else if (key == "answer") line >> kit.answer;
    else if (key == "outputs") kit.outputs = rest_of<std::string>(line);
    else if (key == "label") kit.labels.push_back(text.substr(key.size() + 1));
    else if (key == "max_logit_difference") line >> kit.max_logit_difference;
    else if (key == "max_probability_difference") line >> kit.max_probability_difference;
    else if (key == "tie_margin") line >> kit.tie_margin;
    else if (key == "vector") {
      Vector vector;
      line >> vector.name >> vector.file;
      vector.shape = rest_of<int64_t>(line);
      kit.vectors.push_back(vector);
    } else if (key == "expects") {
      Expected one;
      line >> one.label;
      one.logits = rest_of<double>(line);
      one.probabilities.assign(one.logits.begin() + one.logits.size() / 2, one.logits.end());
      one.logits.resize(one.logits.size() / 2);
      kit.vectors.back().images.push_back(one);
    } else if (key == "mistake") {
      Mistake mistake;
      line >> mistake.name >> std::ws;
      std::getline(line, mistake.says);
      kit.mistakes.push_back(mistake);
    } else if (key == "gives") {
      std::string name;
      size_t image = 0;
      line >> name >> image;
      kit.mistakes.back().logits[name][image] = rest_of<double>(line);
    }
  }
  return kit;
}

std::string sha256_of(Bytes data) {  // FIPS 180-4
  std::array<uint32_t, 64> k{};
  std::array<uint32_t, 8> hash{};
  const auto fraction = [](long double root) { return static_cast<uint32_t>((root - std::floor(root)) * 4294967296.0L); };
  for (uint32_t prime = 2, count = 0; count < 64; ++prime) {  // constants: fractions of the primes' square and cube roots
    bool is_prime = true;
    for (uint32_t divisor = 2; divisor * divisor <= prime; ++divisor) is_prime = is_prime && prime % divisor != 0;
    if (!is_prime) continue;
    if (count < 8) hash[count] = fraction(std::sqrt(static_cast<long double>(prime)));
    k[count++] = fraction(std::cbrt(static_cast<long double>(prime)));
  }
  const uint64_t bits = static_cast<uint64_t>(data.size()) * 8;
  data.push_back(0x80);
  while (data.size() % 64 != 56) data.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) data.push_back(static_cast<uint8_t>(bits >> shift));
  const auto turn = [](uint32_t x, int n) { return (x >> n) | (x << (32 - n)); };
  for (size_t block = 0; block < data.size(); block += 64) {
    std::array<uint32_t, 64> w{};
    for (int i = 0; i < 16; ++i)
      for (int byte = 0; byte < 4; ++byte) w[i] = (w[i] << 8) | data[block + 4 * i + byte];
    for (int i = 16; i < 64; ++i)
      w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >> 3)) + w[i - 7] +
             (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >> 10));
    auto [a, b, c, d, e, f, g, h] = hash;
    for (int i = 0; i < 64; ++i) {
      const uint32_t one = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
      const uint32_t two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    const std::array<uint32_t, 8> add{a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) hash[i] += add[i];
  }
  std::ostringstream text;
  for (uint32_t word : hash)
    for (int shift = 28; shift >= 0; shift -= 4) text << "0123456789abcdef"[(word >> shift) & 15];
  return text.str();
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
  throw std::runtime_error("the model has no metadata");
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<double> softmax(const std::vector<double>& logits) {
  std::vector<double> exponents(logits);
  const double largest = *std::max_element(logits.begin(), logits.end());
  for (double& value : exponents) value = std::exp(value - largest);
  const double sum = std::accumulate(exponents.begin(), exponents.end(), 0.0);
  for (double& value : exponents) value /= sum;
  return exponents;
}

double largest_difference(const std::vector<double>& one, const std::vector<double>& other) {
  double largest = 0;
  for (size_t at = 0; at < one.size(); ++at) largest = std::max(largest, std::abs(one[at] - other[at]));
  return largest;
}

double squares(const std::vector<double>& one, const std::vector<double>& other) {
  double sum = 0;
  for (size_t at = 0; at < one.size(); ++at) sum += (one[at] - other[at]) * (one[at] - other[at]);
  return sum;
}

bool is_tie(std::vector<double> probabilities, double margin) {
  std::sort(probabilities.rbegin(), probabilities.rend());
  return probabilities[0] - probabilities[1] <= margin;
}

// What the answers that differ from the right ones are those of; empty where nothing fits. One answer an image, in order.
std::string mistake_in(const Kit& kit, const std::vector<Answer>& answers) {
  const double explained = 0.35;  // distance from a mistake's answers over that from the right ones, or all in tolerance
  std::vector<std::pair<double, std::string>> fitting;
  for (const Mistake& mistake : kit.mistakes) {
    double to_right = 0, to_mistake = 0, farthest = 0;
    size_t renamed = 0, otherwise_named = 0, missed = 0, missed_names = 0, number = 0;
    for (const Vector& vector : kit.vectors) {
      const auto rows = mistake.logits.find(vector.name);
      for (size_t image = 0; image < vector.images.size(); ++image) {
        const Expected& right = vector.images[image];
        const Answer& found = answers.at(number++);
        const auto& wrong = rows == mistake.logits.end() ? right.logits : rows->second.at(image);
        for (const double one : found.logits)
          if (!std::isfinite(one)) return "";
        if (largest_difference(found.logits, right.logits) > kit.max_logit_difference) {
          to_right += squares(found.logits, right.logits);
          to_mistake += squares(found.logits, wrong);
          farthest = std::max(farthest, largest_difference(found.logits, wrong) / kit.max_logit_difference);
        } else if (largest_difference(wrong, right.logits) > kit.max_logit_difference) {
          ++missed;
        }
        const auto probabilities = softmax(wrong);
        if (is_tie(probabilities, kit.tie_margin)) continue;
        const auto best = std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin();
        const std::string &theirs = kit.labels.at(best), &expected = kit.labels.at(right.label);
        renamed += found.label == theirs && theirs != expected;
        otherwise_named += found.label != theirs && found.label != expected;
        missed_names += found.label == expected && theirs != expected;
      }
    }
    const double share = to_right > 0 ? std::sqrt(to_mistake / to_right) : 0;
    if (to_right > 0 && (share <= explained || (farthest <= 1 && share < 1)))
      fitting.emplace_back(share + 0.1 * static_cast<double>(missed) / static_cast<double>(number), mistake.says);
    else if (!(to_right > 0) && renamed > 1 && otherwise_named == 0 && missed_names == 0)  // labels alone tell less
      fitting.emplace_back(0, mistake.says);
  }
  if (fitting.empty() || (fitting.size() > 1 && !(fitting[0].first > 0) && !(fitting[1].first > 0))) return "";
  return "; your answers are those of " + std::min_element(fitting.begin(), fitting.end())->second;
}

// The largest difference; the first that is above its limit becomes the problem.
double compare(std::string& problem, const std::string& where, const char* name, const std::vector<double>& found,
               const std::vector<double>& expected, double limit) {
  if (found.size() != expected.size())
    throw std::runtime_error(where + ": expected " + std::to_string(expected.size()) + " " + name + ", found " +
                             std::to_string(found.size()));
  double worst = 0;
  for (size_t at = 0; at < found.size(); ++at) {
    const double difference = std::abs(found[at] - expected[at]);
    if (!(difference <= worst) && !std::isnan(worst)) worst = difference;  // the first NaN stays
  }
  if (!(worst <= limit) && problem.empty()) {
    std::ostringstream text;
    text << where << ": " << name << " differ by " << worst << ", allowed " << limit;
    problem = text.str();
  }
  return worst;
}

std::string check(const fs::path& folder, const fs::path& model_path, std::string& other) {
  const Kit kit = read_kit(folder / "manifest.txt");
  const Bytes model = read_bytes(model_path);
  const std::string sha256 = sha256_of(model);
  if (sha256 != kit.sha256) other = "; the file is not the kit's " + kit.file + ": SHA-256 " + sha256;
  Ort::Env env(ORT_LOGGING_LEVEL_FATAL);
  Ort::Session session(env, model.data(), model.size(), Ort::SessionOptions{});
  const auto labels = kit.answer.empty() ? labels_of(session) : kit.labels;
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  double worst_logit = 0, worst_probability = 0;
  size_t images = 0;
  std::string problem;
  std::vector<Answer> answers;
  for (const Vector& vector : kit.vectors) {
    Bytes bytes = read_bytes(folder / vector.file);
    const auto type = kit.dtype == "uint8" ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    const Ort::Value feed =
        Ort::Value::CreateTensor(memory, bytes.data(), bytes.size(), vector.shape.data(), vector.shape.size(), type);
    const char* inputs[] = {kit.input.c_str()};
    std::vector<const char*> outputs;
    for (const auto& name : kit.outputs) outputs.push_back(name.c_str());
    const auto results = session.Run(Ort::RunOptions{}, inputs, &feed, 1, outputs.data(), outputs.size());
    for (size_t image = 0; image < vector.images.size(); ++image, ++images) {
      const Expected& expected = vector.images[image];
      const std::string where = "vector " + vector.name + ", image " + std::to_string(image);
      std::vector<double> logits, probabilities;
      for (size_t output = 0; output < outputs.size(); ++output) {
        const size_t columns = results[output].GetTensorTypeAndShapeInfo().GetElementCount() / vector.images.size();
        const float* row = results[output].GetTensorData<float>() + columns * image;
        (kit.outputs[output] == "logits" || kit.answer == "logits" ? logits : probabilities).assign(row, row + columns);
      }
      if (logits.empty())
        for (const double one : probabilities) logits.push_back(std::log(std::max(one, std::ldexp(1.0, -126))));
      if (probabilities.empty()) probabilities = softmax(logits);
      worst_logit = std::max(worst_logit, compare(problem, where, "logits", logits, expected.logits,
                                                  kit.max_logit_difference));
      worst_probability =
          std::max(worst_probability, compare(problem, where, "probabilities", probabilities, expected.probabilities,
                                              kit.max_probability_difference));
      const auto best = std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin();
      answers.push_back({logits, labels.at(best)});
      if (static_cast<size_t>(best) != expected.label && !is_tie(expected.probabilities, kit.tie_margin) && problem.empty())
        problem = where + ": expected " + kit.labels.at(expected.label) + ", found " + kit.labels.at(best);
    }
  }
  if (!problem.empty()) {
    other += mistake_in(kit, answers);
    throw std::runtime_error(problem);
  }
  if (labels != kit.labels)
    throw std::runtime_error("expected the labels " + joined(kit.labels) + ", found " + joined(labels));
  if (!other.empty()) throw std::runtime_error("all vectors agree");
  std::ostringstream text;
  text << "ok: " << kit.vectors.size() << " vectors, " << images << " images, onnxruntime " << Ort::GetVersionString()
       << ": logits within " << worst_logit << " (allowed " << kit.max_logit_difference << "), probabilities within "
       << worst_probability << " (allowed " << kit.max_probability_difference << ")";
  return text.str();
}

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: check KIT MODEL\n";
    return 2;
  }
  std::string other;
  try {
    std::cout << check(arguments[1], arguments[2], other) << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "FAILED: " << error.what() << other << '\n';
    return 1;
  }
}
