"""The small models that the project trains for itself, so that demo and tests need no downloads.

    roleeval/zoo/weights/
      hashes.json        SHA-256 of every file, and what it was built with
      base/              a causal LM (Qwen2 architecture) with its tokenizer and chat template; a plain assistant
      shared_lora/       one PEFT adapter for all embedded roles; needs the persona system prompt
      independent_lora/, hycora/, her/, rar/   the other families on the same base
      stagehand/         one PEFT adapter for a scene's environment and next speaker, and for the judge zoo_voice
      user/              one PEFT adapter for the user of a session

`families.py` trains the same adapters on any other base. Test instruments, not good models: docs/zoo.md.
`roleeval.resources.zoo_path` finds a folder.
"""
