// The golden digests of numerics v1: one for each op, one for a whole generation, in the order of runtime/selftest.cc.
// They hold v1 still. A change here is a change of bytes: it needs a new semantics version (NEWS.md says so), never an edit.
#pragma once

namespace ibid::step {

struct SelftestGolden { const char* name; const char* digest; };
inline constexpr SelftestGolden kSelftestGolden[] = {
    {"embed f32", "sha256:7330554015c297a5eed09d1542148352514f931cdaa7a415479fb249e057ac17"},
    {"embed f16", "sha256:103b5b2b1958eafe9f46e08706209fbe0f1023d80dff10baca77f4296f0e0f72"},
    {"embed bf16", "sha256:e19aabf9d89817b3069a55c73d2b228ca3550cf32731c37f017867eceef3aefc"},
    {"embed q8_0", "sha256:ae2a82f221b0616ff0f0ad94648d2034c93e5b468cd32a86588cd897a0254fdf"},
    {"embed q4_0", "sha256:9880f605f12781859a78d81c542ece31e383dd5d530c4059431eacdd2c90e0fe"},
    {"embed q4_1", "sha256:235d9ddfdb47659875af22810e9624dcd60c95ec6477fadb9a6977ff0df59d6f"},
    {"gather_rows", "sha256:58633de8834af961e341c45fa4540bf3e6462c3e87800fef6206b42fd15a016c"},
    {"sample", "sha256:6dc15392360eaac280509ccbb9ae5473bbebcbdc74e42def8690fbb27497f39f"},
    {"quantize", "sha256:9cf11371dcdf9a540c057593bcf460b0cfde339c636ffa0cebe6eb7dbd18807b"},
    {"norm_quantize", "sha256:26301b93197a83c29a9dec76400fd2d1a04d0137adde75449c69e53b7eb24d10"},
    {"silu_quantize", "sha256:83f324a8057848fd4553479b51494fadc369575c94c3390c8b3cfd725dd9ffa2"},
    {"matmul w16a16", "sha256:244cf5a51f5507846a8e2f9113ec3220e1ccb7d733b55a677434173283e138cf"},
    {"matmul w8a16", "sha256:45e3a256e2bd106f0bdd7b8b2351665798db2a4eff64afe96ae03a86973b4482"},
    {"convert_weight f32 w16a16", "sha256:1fc5a72c3f3f7ad2633ab639fee4a9c65da8bc5a177bc67a9283807d99757e02"},
    {"convert_weight f32 w8a16", "sha256:b1154f296c717b5b52b3c89b20556cdcc19fb18cc570b8a69e246497fd847ca1"},
    {"convert_weight f16 w16a16", "sha256:faf424de9e6654d720ced8200395e1dd1b43d909f591cb4c9cc0137fc380eb78"},
    {"convert_weight f16 w8a16", "sha256:23ea2294f87e2fc334ed16265fd5020a3cb525a107ed8b087eb3cb60f6330f87"},
    {"convert_weight bf16 w16a16", "sha256:1acc907efa2f195e4a2d01abdac4e581fcfed1bf1fae1bb1eef82a2a3f5df549"},
    {"convert_weight bf16 w8a16", "sha256:8c7d35239d494d7f0ab6b371335d21f230d5e3bf9abea97bc52e39a3696a64b9"},
    {"convert_weight q8_0 w16a16", "sha256:052b3ae97fccd746b2620fa830307e3209da0aad61596915f2dc9b0985ab68f6"},
    {"convert_weight q8_0 w8a16", "sha256:1a7dc197664486064a4361450f14d5e4b15ece707948f9906a9d09271236cb3b"},
    {"convert_weight q4_0 w16a16", "sha256:fc800db64c3461093c5219f1c56fc643601fe6059b5fc3a7d24c197b91014a38"},
    {"convert_weight q4_0 w8a16", "sha256:97823f5f33a71d5f467c2b5035327458fbd98a8fce16eb0129d99b4e9358332f"},
    {"convert_weight q4_1 w16a16", "sha256:30d95e1ad98516cc9741f5f77f3e842bf0b7dcb6e68887073e76e23f643171af"},
    {"convert_weight q4_1 w8a16", "sha256:9024b537a5b4b93b74668fb47ae37d2c8f7865a5e59a1198475cc2e4af9682cc"},
    {"rope_table", "sha256:a2d119a6ef56c09bec64a093b0ef93e2177318bba77b32a0cf15bb890318b071"},
    {"rope_store", "sha256:16c7868a678f4c5edce134bb399ce7608b14289f3c1fb16f6b2dd29a2ad68c1f"},
    {"attention", "sha256:1bd8448fed40d8a643d04fbdd29c6fe35555b1e691c4ef37e1f6b387e6ab7473"},
    {"copy_page", "sha256:2d3b0285f1b1b9b46f85a13ced576b747c2c0646d55f3ae93792760052589272"},
    {"generation tiny w16a16", "sha256:520cb59950e8b0b5048c3155bc7942bb6718acfa66452bbe859d15d663d476c8"},
    {"generation tiny w8a16", "sha256:69ac1c0462b88f9d07c9d1aa8b6f9817b7e149f5c8b9d861a5e83305358022f8"},
    {"generation tiny-llama w16a16", "sha256:3eaab0941c9c57ad2e6555060f5d3356e4f0002a1e138c8db0f889c94e4bbb30"},
    {"generation tiny-llama w8a16", "sha256:77880d73572bfd40b0d02e475935e9d505ac6c7b7dde8a46b53d363e188cb8b8"},
};

}  // namespace ibid::step
