// Names the expression of one face by OpenVINO: the model resizes and normalises, this hands over pixels as they are.
//
//     ./classify mine-openvino.xml face.rgb HEIGHT WIDTH
//
// face.rgb holds HEIGHT x WIDTH x 3 bytes, red, green, blue, row by row: a face cropped to head and chin.

#include <openvino/openvino.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
    if (argc != 5) {
        std::cerr << "usage: classify MODEL.xml PIXELS HEIGHT WIDTH\n";
        return 2;
    }
    const size_t height = std::stoul(argv[3]), width = std::stoul(argv[4]);
    std::ifstream file(argv[2], std::ios::binary);
    std::vector<uint8_t> pixels{std::istreambuf_iterator<char>(file), {}};
    if (pixels.size() != height * width * 3) {
        std::cerr << argv[2] << ": expected " << height * width * 3 << " bytes, found " << pixels.size() << "\n";
        return 1;
    }

    ov::Core core;
    const auto model = core.read_model(argv[1]);
    const auto labels = model->get_rt_info<std::string>("model_info", "labels");  // separated by blanks
    // Without the hint OpenVINO computes in bfloat16 where the processor can, which is not what was verified.
    auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = compiled.create_infer_request();
    request.set_input_tensor(ov::Tensor(ov::element::u8, {1, height, width, 3}, pixels.data()));
    request.infer();

    const auto answer = request.get_tensor("probabilities");  // (1, classes)
    const float* probability = answer.data<const float>();
    std::istringstream names(labels);
    for (std::string name; names >> name; ++probability) {
        std::printf("%s %.6f\n", name.c_str(), *probability);
    }
    return 0;
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
}
