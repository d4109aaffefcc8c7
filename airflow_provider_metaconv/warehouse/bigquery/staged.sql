SELECT {values} FROM {staging}
