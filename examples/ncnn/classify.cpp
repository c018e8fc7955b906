// Names the expression of a face by an ncnn model of fer_edge: classify NAME.param NAME.bin NAME.labels.txt face.pgm
// The face is a binary PGM (P5), grey, exactly of the model's size; examples/ncnn/README.md says how to make one.

#include <net.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

struct Face {
  int width = 0, height = 0;
  std::vector<unsigned char> grey;
};

static bool read_pgm(const char* path, Face& face) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int maximum = 0;
  if (!(file >> magic >> face.width >> face.height >> maximum) || magic != "P5" || maximum != 255) return false;
  if (face.width < 1 || face.height < 1 || face.width > 4096 || face.height > 4096) return false;
  file.get();  // the one blank before the pixels
  face.grey.resize(size_t(face.width) * face.height);
  return bool(file.read(reinterpret_cast<char*>(face.grey.data()), std::streamsize(face.grey.size())));
}

int main(int argc, char** argv) {
  if (argc != 5) return std::fprintf(stderr, "usage: classify NAME.param NAME.bin NAME.labels.txt face.pgm\n"), 2;

  std::vector<std::string> labels;
  std::ifstream names(argv[3]);
  for (std::string line; std::getline(names, line);) labels.push_back(line);

  ncnn::Net net;
  // On ARM ncnn would compute in float16. These keep the answers that were proved at the export.
  net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = false;
  if (net.load_param(argv[1]) != 0 || net.load_model(argv[2]) != 0) return 1;

  Face face;
  if (!read_pgm(argv[4], face)) return std::fprintf(stderr, "%s: expected a binary PGM\n", argv[4]), 1;
  // Bytes to floats, 0-255; the net itself normalises. No from_pixels_resize here: it does not antialias.
  const ncnn::Mat image = ncnn::Mat::from_pixels(face.grey.data(), ncnn::Mat::PIXEL_GRAY, face.width, face.height);
  ncnn::Extractor extractor = net.create_extractor();
  extractor.input("image", image);
  ncnn::Mat probabilities;  // or "logits"
  if (extractor.extract("probabilities", probabilities) != 0 || size_t(probabilities.w) != labels.size()) return 1;
  for (size_t index = 0; index < labels.size(); ++index) std::printf("%s %.4f\n", labels[index].c_str(), probabilities[index]);
  return 0;
}
