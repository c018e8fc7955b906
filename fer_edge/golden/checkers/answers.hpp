// What check.cpp compares: a kit, answers that an app wrote as JSON, and the mistake whose answers they are. The standard
// library alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
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
struct Answer {  // to one image; what an app did not say is empty
  std::vector<double> logits, probabilities;
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

inline Bytes read_bytes(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(path.string() + ": cannot be opened");
  return Bytes(std::istreambuf_iterator<char>(stream), {});
}

template <class T>
inline std::vector<T> rest_of(std::istringstream& line) {
  return {std::istream_iterator<T>(line), {}};
}

inline Kit read_kit(const fs::path& path) {
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

inline std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

inline std::vector<double> softmax(const std::vector<double>& logits) {
  std::vector<double> exponents(logits);
  const double largest = *std::max_element(logits.begin(), logits.end());
  for (double& value : exponents) value = std::exp(value - largest);
  const double sum = std::accumulate(exponents.begin(), exponents.end(), 0.0);
  for (double& value : exponents) value /= sum;
  return exponents;
}

inline double largest_difference(const std::vector<double>& one, const std::vector<double>& other) {
  double largest = 0;
  for (size_t at = 0; at < one.size(); ++at) largest = std::max(largest, std::abs(one[at] - other[at]));
  return largest;
}

inline double squares(const std::vector<double>& one, const std::vector<double>& other) {
  double sum = 0;
  for (size_t at = 0; at < one.size(); ++at) sum += (one[at] - other[at]) * (one[at] - other[at]);
  return sum;
}

inline bool is_tie(std::vector<double> probabilities, double margin) {
  std::sort(probabilities.rbegin(), probabilities.rend());
  return probabilities[0] - probabilities[1] <= margin;
}

// As Python's format of a number to so many digits.
inline std::string digits(double value, int count) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", count, value);
  return text;
}

// How far answers are from those of one mistake.
struct Distances {
  std::string says;
  // Of each image whose answer differs from the right one: its place, squared distances to the right answer and to the
  // mistake's, the latter's largest over the limit, and whether the mistake changes that image's answer at all.
  std::vector<std::string> places;
  std::vector<double> right, wrong, far;
  std::vector<bool> changes;
  size_t images = 0, numbers = 0;
  size_t missed = 0;  // images that the mistake changes and whose answers are right
  size_t renamed = 0, otherwise_named = 0, missed_names = 0;
  bool is_finite = true;
};

// `answers`: one an image, in the kit's order.
inline Distances distances_of(const Mistake& mistake, const Kit& kit, const std::vector<Answer>& answers) {
  Distances found;
  found.says = mistake.says;
  for (const Vector& vector : kit.vectors) {
    const auto rows = mistake.logits.find(vector.name);
    for (size_t image = 0; image < vector.images.size(); ++image) {
      const Expected& expected = vector.images[image];
      const Answer& one = answers.at(found.images++);
      // where a mistake changes nothing, its answers are the right ones
      const auto& wrong_logits = rows == mistake.logits.end() ? expected.logits : rows->second.at(image);
      const auto wrong_probabilities = softmax(wrong_logits);
      if (!one.logits.empty() || !one.probabilities.empty()) {
        ++found.numbers;
        const bool has_logits = !one.logits.empty();
        const auto& given = has_logits ? one.logits : one.probabilities;
        const auto& right = has_logits ? expected.logits : expected.probabilities;
        const auto& wrong = has_logits ? wrong_logits : wrong_probabilities;
        const double limit = has_logits ? kit.max_logit_difference : kit.max_probability_difference;
        for (const double value : given) found.is_finite = found.is_finite && std::isfinite(value);
        const bool changes = largest_difference(wrong, right) > limit;
        if (largest_difference(given, right) > limit) {
          found.places.push_back("vector " + vector.name + ", image " + std::to_string(image));
          found.right.push_back(squares(given, right));
          found.wrong.push_back(squares(given, wrong));
          found.far.push_back(largest_difference(given, wrong) / limit);
          found.changes.push_back(changes);
        } else {
          found.missed += changes;
        }
      }
      if (one.label.empty() || is_tie(wrong_probabilities, kit.tie_margin)) continue;
      const auto best = std::max_element(wrong_probabilities.begin(), wrong_probabilities.end());
      const std::string& theirs = kit.labels.at(best - wrong_probabilities.begin());
      const std::string& right = kit.labels.at(expected.label);
      found.renamed += one.label == theirs && theirs != right;
      found.otherwise_named += one.label != theirs && one.label != right;
      found.missed_names += one.label == right && theirs != right;
    }
  }
  return found;
}

// Distance from a mistake's answers over that from the right ones, of some images together.
inline double share_of(const std::vector<double>& wrong, const std::vector<double>& right, const std::vector<size_t>& among) {
  double to_wrong = 0, to_right = 0;
  for (const size_t at : among) to_wrong += wrong[at], to_right += right[at];
  return std::sqrt(to_wrong / to_right);
}

inline std::vector<double> least_of(std::vector<double> one, const std::vector<double>& other) {
  for (size_t at = 0; at < one.size(); ++at) one[at] = std::min(one[at], other[at]);
  return one;
}

// Within the limits of every image, or not.
inline std::string nearly(const std::vector<double>& far) {
  return *std::max_element(far.begin(), far.end()) <= 1 ? "" : "nearest to ";
}

// As mistake_in, where no number differs but labels do; those tell less.
inline std::string label_mistake_in(const std::vector<Distances>& known) {
  std::vector<std::string> fitting;
  for (const Distances& one : known)
    if (one.renamed > 1 && one.otherwise_named == 0 && one.missed_names == 0) fitting.push_back(one.says);
  if (fitting.size() == 1) return "; your answers are those of " + fitting[0];
  if (known[0].numbers > 0)
    return "; the numbers are right, the labels are not: each number has the name at its place in the kit's labels";
  return "; labels alone do not tell the mistake: write probabilities or logits, too";
}

// What the answers that differ from the right ones are those of, to be added to a line; empty for an older kit.
inline std::string mistake_in(const Kit& kit, const std::vector<Answer>& answers) {
  const double explained = 0.35;  // distance from a mistake's answers over that from the right ones, or all in tolerance
  const double plain = 2;  // tolerances: what lies between one and two may be the rounding of another resize
  std::vector<Distances> known;
  for (const Mistake& mistake : kit.mistakes) known.push_back(distances_of(mistake, kit, answers));
  if (known.empty() || !known[0].is_finite) return "";
  const std::vector<double>& right = known[0].right;
  if (right.empty()) return label_mistake_in(known);
  std::vector<size_t> images(right.size());
  std::iota(images.begin(), images.end(), size_t{0});
  const double all = static_cast<double>(known[0].images);

  const Distances *first = nullptr, *second = nullptr;
  double least = 0;
  for (const Distances& one : known) {
    const double whole = share_of(one.wrong, right, images), score = whole + 0.1 * static_cast<double>(one.missed) / all;
    const double farthest = *std::max_element(one.far.begin(), one.far.end());
    if ((whole <= explained || (farthest <= 1 && whole < 1)) && (!first || score < least)) first = &one, least = score;
  }
  if (first) {
    std::vector<size_t> beyond;  // images that it leaves alone, and that differ plainly
    for (const size_t at : images)
      if (!first->changes[at] && first->far[at] > plain) beyond.push_back(at);
    if (beyond.empty()) return "; your answers are " + nearly(first->far) + "those of " + first->says;
    for (const Distances& one : known) {
      const double part = share_of(one.wrong, right, beyond);
      if (part <= explained && (!second || part < least)) second = &one, least = part;
    }
    if (!second)
      return "; your answers are nearest to those of " + first->says + ". Something else differs too, first " +
             first->places[beyond[0]];
  } else {
    const auto explains = [&](const Distances& one, size_t at) {
      return one.far[at] <= 1 || one.wrong[at] <= explained * explained * right[at];
    };
    const auto explains_more = [&](const Distances& one, const Distances& other) {
      return std::any_of(images.begin(), images.end(),
                         [&](size_t at) { return explains(one, at) && !explains(other, at); });
    };
    // two that change the same images are one that is not known
    const auto spares = [&](const Distances& one, const Distances& other) {
      return std::any_of(images.begin(), images.end(),
                         [&](size_t at) { return explains(one, at) && !other.changes[at]; });
    };
    for (size_t number = 0; number < known.size(); ++number)
      for (size_t before = 0; before < number; ++before) {
        const Distances &one = known[number], &other = known[before];
        const double whole = share_of(least_of(one.wrong, other.wrong), right, images);
        const double score = whole + 0.1 * static_cast<double>(one.missed + other.missed) / all;
        const bool both = explains_more(one, other) && explains_more(other, one);
        if (whole <= explained && both && (spares(one, other) || spares(other, one)) && (!first || score < least))
          first = &other, second = &one, least = score;
      }
    if (!first)
      return "; your answers are those of none of the " + std::to_string(known.size()) + " mistakes that the kit knows";
  }
  return "; your answers are " + nearly(least_of(first->far, second->far)) + "those of two mistakes: " + first->says +
         ". And: " + second->says;
}

// A JSON string in UTF-8, from the quote at `at`, which is left behind the closing one.
inline std::string json_string(const std::string& text, size_t& at) {
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

struct Json {
  enum Kind { null, truth, number, string, list, object } kind = null;
  bool is_true = false;
  double value = 0;
  std::string text;
  std::vector<std::string> keys;  // of an object, in order
  std::vector<Json> items;

  const Json* find(const std::string& key) const {
    const auto place = std::find(keys.begin(), keys.end(), key);
    return place == keys.end() ? nullptr : &items[place - keys.begin()];
  }
};

// RFC 8259. Throws an exception of any kind for other text, and leaves `at` near the place.
class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : text_(text) {}
  size_t at = 0;

  Json document() {
    Json found = value(0);
    if (next() != 0) throw std::runtime_error("more");
    return found;
  }

 private:
  const std::string& text_;

  char next() {  // of what is no white space; 0 at the end
    at = std::min(text_.find_first_not_of(" \t\r\n", at), text_.size());
    return at < text_.size() ? text_[at] : '\0';
  }
  void expect(const std::string& word) {
    if (text_.compare(at, word.size(), word) != 0) throw std::runtime_error("another word");
    at += word.size();
  }
  std::string string() {
    const size_t start = at;
    if (next() != '"') throw std::runtime_error("no string");
    const std::string found = json_string(text_, at);
    for (size_t place = start; place < at; ++place)
      if (static_cast<unsigned char>(text_[place]) < 0x20) throw std::runtime_error("a control character");
    return found;
  }
  size_t skip_digits() {
    const size_t start = at;
    while (at < text_.size() && text_[at] >= '0' && text_[at] <= '9') ++at;
    if (at == start) throw std::runtime_error("no digit");
    return start;
  }
  double number() {
    const size_t start = at;
    if (text_[at] == '-') ++at;
    const size_t whole = skip_digits();
    if (text_[whole] == '0' && at > whole + 1) throw std::runtime_error("a zero in front");
    if (at < text_.size() && text_[at] == '.') ++at, skip_digits();
    if (at < text_.size() && (text_[at] == 'e' || text_[at] == 'E')) {
      ++at;
      if (at < text_.size() && (text_[at] == '+' || text_[at] == '-')) ++at;
      skip_digits();
    }
    return std::strtod(text_.substr(start, at - start).c_str(), nullptr);
  }
  Json value(int depth) {
    Json found;
    const char sign = next();
    if (depth > 100) throw std::runtime_error("too deep");
    if (sign == '"') {
      found.kind = Json::string;
      found.text = string();
    } else if (sign == '{' || sign == '[') {
      const char end = sign == '{' ? '}' : ']';
      found.kind = sign == '{' ? Json::object : Json::list;
      ++at;
      if (next() == end) {
        ++at;
        return found;
      }
      for (char after = ','; after == ',';) {
        std::string key;
        if (sign == '{') {
          next();
          key = string();
          if (next() != ':') throw std::runtime_error("no colon");
          ++at;
        }
        Json item = value(depth + 1);
        const auto before = std::find(found.keys.begin(), found.keys.end(), key);
        if (sign == '{' && before != found.keys.end()) {  // the last of two is taken
          found.items[before - found.keys.begin()] = std::move(item);
        } else {
          if (sign == '{') found.keys.push_back(key);
          found.items.push_back(std::move(item));
        }
        after = next();
        if (after != ',' && after != end) throw std::runtime_error("neither a comma nor an end");
        ++at;
      }
    } else if (sign == 't' || sign == 'f') {
      found.kind = Json::truth;
      found.is_true = sign == 't';
      expect(found.is_true ? "true" : "false");
    } else if (sign == 'n') {
      expect("null");
    } else {
      found.kind = Json::number;
      found.value = number();
    }
    return found;
  }
};

// What was found instead, in a few words of one line.
inline std::string shown(const std::string& text) {
  std::string line = "\"";
  size_t count = 0;
  for (const char sign : text) {
    if ((static_cast<unsigned char>(sign) & 0xC0) != 0x80 && ++count > 60) break;  // UTF-8: where a character begins
    line += static_cast<unsigned char>(sign) < 0x20 || sign == 0x7F ? ' ' : sign;
  }
  return line + '"';
}

inline std::string shown(const Json& value) {
  if (value.kind == Json::string) return shown(value.text);
  if (value.kind == Json::truth) return value.is_true ? "true" : "false";
  const std::map<Json::Kind, std::string> words = {
      {Json::null, "null"}, {Json::number, "a number"}, {Json::list, "a list"}, {Json::object, "an object"}};
  return words.at(value.kind);
}

// A number for each class in the model's order, of a list or an object with the labels as keys.
inline std::vector<double> numbers_in(const Json& given, const std::vector<std::string>& labels, const std::string& where,
                               const std::string& name) {
  const std::string expected = where + ": expected " + std::to_string(labels.size()) + " " + name + ", found ";
  std::vector<const Json*> values;
  if (given.kind == Json::object) {
    for (const auto& key : given.keys)
      if (std::find(labels.begin(), labels.end(), key) == labels.end())
        throw std::runtime_error(where + ": expected the labels " + joined(labels) + " in " + name + ", found " +
                                 shown(key));
    for (const auto& label : labels) {
      values.push_back(given.find(label));
      if (!values.back())
        throw std::runtime_error(expected + std::to_string(given.keys.size()) + ", none for " + label);
    }
  } else if (given.kind == Json::list) {
    for (const Json& item : given.items) values.push_back(&item);
  } else {
    throw std::runtime_error(expected + shown(given));
  }
  if (values.size() != labels.size()) throw std::runtime_error(expected + std::to_string(values.size()));
  std::vector<double> numbers;
  for (const Json* one : values) {
    if (one->kind != Json::number)
      throw std::runtime_error(where + ": expected " + name + " that are numbers, found " + shown(*one));
    if (!(std::abs(one->value) < 1e30))
      throw std::runtime_error(where + ": expected " + name + " below 1e30, found a larger one");
    numbers.push_back(one->value);
  }
  return numbers;
}

inline Answer answer_in(const Json& one, const std::vector<std::string>& labels, const std::string& where) {
  if (one.kind != Json::object)
    throw std::runtime_error(where + ": expected an object with label, probabilities or logits, found " + shown(one));
  const Json *logits = one.find("logits"), *probabilities = one.find("probabilities"), *label = one.find("label");
  if (!logits && !probabilities && !label)
    throw std::runtime_error(where + ": expected label, probabilities or logits, found none of them");
  Answer answer;
  if (logits) answer.logits = numbers_in(*logits, labels, where, "logits");
  if (probabilities) answer.probabilities = numbers_in(*probabilities, labels, where, "probabilities");
  if (label) {
    if (label->kind != Json::string || std::find(labels.begin(), labels.end(), label->text) == labels.end())
      throw std::runtime_error(where + ": expected one of the labels " + joined(labels) + ", found " + shown(*label));
    answer.label = label->text;
  }
  return answer;
}

// What an app wrote, one answer an image, in the kit's order.
inline std::vector<Answer> read_answers(const std::string& file, const Kit& kit) {
  std::ifstream stream(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), {});
  if (!stream || fs::is_directory(file)) throw std::runtime_error(file + ": cannot be read");
  if (text.compare(0, 3, "\xEF\xBB\xBF") == 0) text.erase(0, 3);
  JsonReader reader(text);
  Json raw;
  try {
    raw = reader.document();
  } catch (const std::exception&) {
    throw std::runtime_error(file + ": expected JSON, found something else: at byte " + std::to_string(reader.at));
  }
  if (raw.kind != Json::object)
    throw std::runtime_error(file + ": expected an object with an entry for each vector, found " + shown(raw));
  for (const auto& key : raw.keys)
    if (std::none_of(kit.vectors.begin(), kit.vectors.end(), [&](const Vector& one) { return one.name == key; }))
      throw std::runtime_error(file + ": expected the kit's vectors, found " + shown(key));
  for (const Vector& vector : kit.vectors)
    if (!raw.find(vector.name))
      throw std::runtime_error(file + ": expected all " + std::to_string(kit.vectors.size()) + " vectors, found " +
                               std::to_string(raw.keys.size()) + ", none for " + vector.name);
  std::vector<Answer> answers;
  for (const Vector& vector : kit.vectors) {
    const std::string where = file + ": vector " + vector.name;
    const Json& entry = *raw.find(vector.name);
    const size_t count = entry.kind == Json::list ? entry.items.size() : 1;
    if (count != vector.images.size())
      throw std::runtime_error(where + ": expected a list of " + std::to_string(vector.images.size()) +
                               " answers, found " + std::to_string(count));
    for (size_t image = 0; image < count; ++image)
      answers.push_back(answer_in(entry.kind == Json::list ? entry.items[image] : entry, kit.labels,
                                  where + ", image " + std::to_string(image)));
  }
  return answers;
}

// Compares what an app answered; the line of figures.
inline std::string check_answers(const fs::path& folder, const std::string& file) {
  const Kit kit = read_kit(folder / "manifest.txt");
  const auto answers = read_answers(file, kit);
  const std::pair<std::string, double> limits[] = {{"logits", kit.max_logit_difference},
                                                   {"probabilities", kit.max_probability_difference}};
  std::map<std::string, double> worst;
  std::string problem;
  size_t images = 0;
  for (const Vector& vector : kit.vectors)
    for (size_t image = 0; image < vector.images.size(); ++image) {
      const Answer& one = answers.at(images++);
      const Expected& expected = vector.images[image];
      const std::string where = "vector " + vector.name + ", image " + std::to_string(image);
      for (const auto& [name, limit] : limits) {
        const auto& given = name == "logits" ? one.logits : one.probabilities;
        if (given.empty()) continue;
        const double difference =
            largest_difference(given, name == "logits" ? expected.logits : expected.probabilities);
        worst[name] = std::max(worst[name], difference);
        if (!(difference <= limit) && problem.empty())
          problem = where + ": " + name + " differ by " + digits(difference, 3) + ", allowed " + digits(limit, 6);
      }
      const std::string& right = kit.labels.at(expected.label);
      if (!one.label.empty() && one.label != right && !is_tie(expected.probabilities, kit.tie_margin) && problem.empty())
        problem = where + ": expected " + right + ", found " + one.label;
    }
  if (!problem.empty()) throw std::runtime_error(problem + mistake_in(kit, answers));
  std::string figures;
  for (const auto& [name, limit] : limits)
    if (worst.count(name))
      figures += (figures.empty() ? "" : ", ") + name + " within " + digits(worst[name], 2) + " (allowed " +
                 digits(limit, 6) + ")";
  return "ok: " + std::to_string(kit.vectors.size()) + " vectors, " + std::to_string(images) + " images, answers of " +
         fs::path(file).filename().string() + ": " + (figures.empty() ? "labels agree" : figures);
}
