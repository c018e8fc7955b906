// Does this build of onnxruntime give a model's golden answers? onnxruntime's C++ API and the standard library.
//
//   g++ -std=c++17 check.cpp -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime -Wl,-rpath,ONNXRUNTIME/lib -o check
//   ./check KIT MODEL
//   ./check KIT --answers FILE     what an app answered, as JSON: README.md has its form
//
// Exit code 0 with one line of figures, or 1 with one line that names the first vector that differs and by how much; and
// the mistake, or the two, where the answers are those of some that the kit knows. answers.hpp compares.
#include <onnxruntime_cxx_api.h>

#include <array>
#include <iostream>

#include "answers.hpp"

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
  if (!(worst <= limit) && problem.empty())
    problem = where + ": " + name + " differ by " + digits(worst, 3) + ", allowed " + digits(limit, 6);
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
      answers.push_back({logits, {}, labels.at(best)});
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
  return "ok: " + std::to_string(kit.vectors.size()) + " vectors, " + std::to_string(images) + " images, onnxruntime " +
         Ort::GetVersionString() + ": logits within " + digits(worst_logit, 2) + " (allowed " +
         digits(kit.max_logit_difference, 6) + "), probabilities within " + digits(worst_probability, 2) + " (allowed " +
         digits(kit.max_probability_difference, 6) + ")";
}

int main(int count, char** arguments) {
  const bool has_answers = count == 4 && std::string(arguments[2]) == "--answers";
  if (count != 3 && !has_answers) {
    std::cerr << "usage: check KIT MODEL | check KIT --answers FILE\n";
    return 2;
  }
  std::string other;
  try {
    std::cout << (has_answers ? check_answers(arguments[1], arguments[3]) : check(arguments[1], arguments[2], other)) << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "FAILED: " << error.what() << other << '\n';
    return 1;
  }
}
